"""Training data: images, augmentation and data sets.

`loading`, `crop`, `augment`, `segmentation`, `detection` and `masks` make the pixels; `folders`,
`packed`, `hugging_face` and `coco` are data sets. Each file needs the toolkit of its task.
"""
