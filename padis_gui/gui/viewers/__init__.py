"""Image panes and curves: narrow setters, no model behind them."""
