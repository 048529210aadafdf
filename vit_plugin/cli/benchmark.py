"""Time the backbones beside those of other libraries, as ratios within one run.

Every case builds the same model with the plugin and with each library that is installed and times
them in turns: in each round every one of them once, in changing order. A ratio is the time over the
plugin's in the same round: above 1, the plugin is faster. Where the plugin can read a library's
weights, outputs are compared too. Needs torch and mmengine; libraries that are absent are named.

A case is WORK:MODEL:SIZE:BATCH, or WORK alone for its cases among those that run by default. WORK
is one of

    forward   inference
    train     forward, backward and AdamW step
    memory    the most memory that forward and backward take above weights and gradients
    forward-memory    the most memory that inference takes above weights
    teacher   a training step distilled from timm's RegNetY-16GF, with its scores computed and with
              its scores stored, beside one without a teacher
    distil    a training step of a Swin with a Swin-S teacher and each kind of loss, over one with
              the teacher's forward alone; and without a teacher
    distil-memory  what `memory` counts of the same, over plain training
    grow-size    time and memory of inference at sizes up to SIZE, with the exponent of their growth
              over the pixels, beside timm and torchvision
    grow-batch   the same for batches up to BATCH
    grow-window  the same for Swins' windows of 7, 12 and 16, over the tokens of a window
    load      BATCH images from file to augmented tensor, in CPU time of one core; MODEL is a
              recipe of vit_plugin/benchmark/loading.py, the files are those of --images

and SIZE the side of square images or HEIGHTxWIDTH. With --profile the plugin's own time of forward
and train cases is shown by kind of operator, beside the least that these could take.

Usage: vit-plugin benchmark [CASE ...] [--device cuda] [--dtype bfloat16] [--cast] [--int8]
           [--compile] [--cuda-graph] [--runtimes] [--profile] [--images FOLDER] [--rounds N]
           [--json FILE] [--plot FILE] [--debug]
"""
import argparse
import json
import logging
import os
import re
from pathlib import Path

import torch

from vit_plugin.benchmark.cases import CASES, PROFILED, choose_cases, plot, profile_case, run_case
from vit_plugin.benchmark.measure import copy_rate, gemm_rate
from vit_plugin.benchmark.peers import LIBRARIES
from vit_plugin.benchmark.steps import Bench
from vit_plugin.doctor import machine
from vit_plugin.errors import UserError

from .arguments import PICTURES, add_debug, positive
from .messages import explained


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time the backbones beside other libraries.')
    parser.add_argument('cases', nargs='*', metavar='CASE', help='WORK:MODEL:SIZE:BATCH')
    parser.add_argument('--device', default='cpu', help='cpu (the default) or cuda')
    parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16', 'float16'])
    parser.add_argument('--cast', action='store_true',
                        help='weights and images of that type in inference, instead of autocast')
    parser.add_argument('--int8', action='store_true',
                        help='inference with linear layers quantised dynamically as well')
    parser.add_argument('--profile', action='store_true',
                        help="the plugin's time by kind of operator, instead of the comparison")
    parser.add_argument('--compile', action='store_true', help='torch.compile as well')
    parser.add_argument('--cuda-graph', action='store_true', help='a captured CUDA graph as well')
    parser.add_argument('--runtimes', action='store_true',
                        help='inference by ONNX Runtime and OpenVINO as well, on the CPU')
    parser.add_argument('--images', type=Path, metavar='FOLDER',
                        help='images for the load cases (parts of photographs of scikit-learn '
                             'and scikit-image)')
    parser.add_argument('--rounds', type=positive, default=9, metavar='N',
                        help='how often everything is timed (9)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures')
    parser.add_argument('--plot', type=Path, metavar='FILE', help='write a picture')
    add_debug(parser)
    args = parser.parse_args()
    if args.profile and args.plot:
        parser.error('--plot draws comparisons, and --profile makes none')
    if args.plot and args.plot.suffix not in PICTURES:
        parser.error(f"--plot must end in {', '.join(PICTURES)}, got '{args.plot}'")
    if args.runtimes and args.device != 'cpu':
        parser.error('--runtimes times on the CPU')
    for file in (args.json, args.plot):
        if file and not file.parent.is_dir():
            parser.error(f"there is no folder '{file.parent}' for '{file.name}'")
    if not re.fullmatch(r'cpu|cuda(:\d+)?', args.device):
        parser.error(f"--device must be cpu or cuda, got '{args.device}'")
    return args


def main() -> None:
    args = parse_args()
    with explained(args):
        benchmark(args)


def benchmark(args: argparse.Namespace) -> None:
    """Measure the cases, and write what was asked for."""
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda needs a GPU, and torch finds none')
    known, libraries = (PROFILED, ()) if args.profile else (CASES[device.type], LIBRARIES)
    cases = choose_cases(args.cases, known)
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # the profiler's own messages
    logging.disable(logging.INFO)  # what the libraries say about themselves
    bench = Bench(device, dtype, args.cast, args.int8, args.compile, args.cuda_graph,
                  args.runtimes, args.images, libraries)
    gemm = gemm_rate(device, dtype)
    print(f'{machine()}\n{args.device}, {args.dtype}, {torch.get_num_threads()} threads; '
          f'a large matrix product runs at {gemm / 1e9:,.0f} GFLOP/s')
    if args.profile:
        copy = copy_rate()
        print(f'a large copy reads and writes {copy / 1e9:.1f} GB/s')
        results = [profile_case(bench, case, gemm, copy) for case in cases]
    else:
        results = [run_case(bench, case, args.rounds, gemm) for case in cases]
    if args.json:
        args.json.write_text(json.dumps(dict(
            machine=machine(), threads=torch.get_num_threads(), device=args.device,
            dtype=args.dtype, gemm=gemm, cases=results), indent=1))
    if args.plot:
        plot(results, args.plot)
