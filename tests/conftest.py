"""Two processes run the tests, each with one thread: threads that wait for each other cost more."""

import torch

torch.set_num_threads(1)
