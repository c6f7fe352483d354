"""One question per file: Problem or Config, SMOKE, main, run."""
