"""VGG19: layers, weights, device."""
