"""What is written of a run for people to look at: curves as tables, animations, one page with everything."""
