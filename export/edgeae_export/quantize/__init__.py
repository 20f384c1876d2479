"""From a float bundle to int8 graphs beside it: rescale, calibrate, choose, write, measure."""
