"""The dashboard: pages for people, drawn on the desk from the same answers that the API gives; whole without JavaScript."""
