"""What a served model is asked and answers, how far that has moved from what it learned, and who is told."""
