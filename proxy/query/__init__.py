"""The reading wing: questions put to the store, answered as JSON, as pages and in the terminal. It never touches `wire`."""
