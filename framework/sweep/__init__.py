"""Many fits of one contender with other settings each, on Ray Tune, to the best of them."""
