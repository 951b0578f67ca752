"""Paint the picture, on tensors alone.

Unless said otherwise, images are sRGB [3, H, W] and masks [H, W], both 0 to 1, activations [C, h,
w], shapes (h, w); positions and places are flat indices y · width + x. "The paper" is Luan et al.,
"Deep Painterly Harmonization" (2018).
"""
