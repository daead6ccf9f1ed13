"""Images: data sets as tensors, their splits, augmentation and whitening."""
