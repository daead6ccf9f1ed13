"""Proxies, one module a method.

A method that distils defines `describe(maps, embedding, recipe) -> list[Tensor]`: the descriptors
(B, D_j) of B images, from the activations `maps` of a random net and its last `embedding`, whose
class means are matched.  A method that selects real images defines
`select(train, images_per_class, *, seed, device) -> Tensor`: the positions of the chosen images;
and, where choosing costs arithmetic, `count_macs(train) -> float`, its multiply-adds. `KIND` says
what an audit takes it for, if that is not "distilled" or "coreset".
"""
