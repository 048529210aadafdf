"""Attention in windows and MLP on the CPU, some tokens at a time: what is made in between stays in
the cache. Each is an operator of torch's, too, which torch.compile calls as it is in inference.
"""
