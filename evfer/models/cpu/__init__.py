"""Kernels that only make a CPU faster: Winograd convolutions, norm-and-fire, max pools, casts.

All of this may be deleted: `convolution.Conv2d` then always calls PyTorch's convolution,
`sew_resnet` calls `node(norm(x), n_steps)` and adds the shortcut, and both networks use
`nn.MaxPool2d(3, 2, 1)`. Evaluation and GPUs never come here. What is lost is speed and memory in
training on a CPU: with these kernels and the fused neurons, which stay, a training step of
Spiking-FER (T = 6, 8 clips of 128 x 128, float32) runs 1.68 times as fast as with SpikingJelly's
layers, in 0.64 of the memory (`python tests/bench/models.py --threads 1 --only 6x8x128`).
Without Winograd the last bits of trained weights change too.
"""

__all__: list[str] = []
