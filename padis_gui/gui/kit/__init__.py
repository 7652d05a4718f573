"""What all of the window is built from: colours, icons, actions, forms, lists, plots."""
