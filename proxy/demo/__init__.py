"""A store full of believable calls, made from nothing but a seed: what a newcomer sees of the product in ten seconds."""
