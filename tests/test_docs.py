"""README.md and docs/ run as they are written, on tiny made-up data, and what they name exists.

The blocks of a section run one after the other in a folder that looks like a clone and holds the
data that the section speaks of. Training commands get options appended that make them short
(`TINY`); nothing else differs. A block is passed over only where ``<!-- not run: reason -->``
stands before it.
"""
import os
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import mmdet  # noqa: F401, the pages are about all three
import mmpretrain  # noqa: F401
import mmseg  # noqa: F401
import pytest
import torch
import yaml
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.registry import OPTIM_WRAPPERS, Registry
from mmengine.runner import CheckpointLoader
from PIL import Image

import vit_plugin
from tests.conftest import ROOT
from tests.docs_clone import EVIDENCE, TINY, make_pets, make_weights
from tests.test_configs_dense import build
from vit_plugin import registry
from vit_plugin.cli.main import main
from vit_plugin.registry import MODELS

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text()
         for path in (*sorted(ROOT.glob('*.md')), *sorted(ROOT.glob('docs/*.md')))}
BLOCK = re.compile(r'^(<!-- not run: [^\n]+ -->\n)?```(\w+)\n(.*?)^```$', re.MULTILINE | re.DOTALL)

# What the shell scripts start.
COMMAND_OF = {'dist_train': 'train', 'dist_test': 'test'}


class Block(NamedTuple):
    language: str
    text: str
    skipped: bool

    @property
    def file(self) -> str | None:
        """The file that a Python block is to be saved as: its first line."""
        match = re.match(r'# (\w+\.py)\n', self.text)
        return match and match[1]

    def commands(self) -> list[list[str]]:
        lines = self.text.replace('\\\n', ' ').splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(text: str) -> list[Block]:
    found = [Block(language, body, bool(skip)) for skip, language, body in BLOCK.findall(text)]
    return [block for block in found if block.language in ('bash', 'python')]


def sections() -> list[Any]:
    """(title, its blocks) of every section that has some to run."""
    found = []
    for document in ('README.md', 'docs/extending.md'):
        for section in re.split(r'^##+ ', TEXTS[document], flags=re.MULTILINE):
            title = section.partition('\n')[0]
            runnable = [block for block in blocks(section) if not block.skipped]
            if runnable:
                found.append(pytest.param(title, runnable, id=f'{document}: {title}'))
    return found


@pytest.fixture
def clone(tmp_path: Path, image_folder: Path, coco: Path, ade: Path,
          monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    make_pets(tmp_path / 'data', image_folder, coco, ade)
    Image.open(image_folder / 'light/0.png').save(tmp_path / 'photo.jpg')
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if sys.modules.pop('pool_net', None):  # the page on extending registers parts of its own
        for name in ('PoolNet', 'TorchvisionClassifier'):
            del MODELS.module_dict[name]


@pytest.mark.slow
@pytest.mark.parametrize(('title', 'runnable'), sections())
def test_section_runs(title: str, runnable: list[Block], clone: Path,
                      monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    text = '\n'.join(block.text for block in runnable)
    make_weights(clone, text)
    for block in runnable:
        if block.file:
            (clone / block.file).write_text(block.text)
            if text.count(block.file) == 1 and re.search('^model = ', block.text, re.MULTILINE):
                with torch.device('meta'):  # a config that no command uses
                    build(Config.fromfile(block.file))
        elif block.language == 'python':
            exec(compile(block.text, title, 'exec'), {'__name__': '__main__'})
        for command in block.commands() if block.language == 'bash' else ():
            run(command, monkeypatch)
    output = ''.join(capfd.readouterr())
    for evidence in EVIDENCE.get(title, ()):
        assert re.search(evidence, output), output[-3000:]
    for folder in re.findall(r"out_dir='(\w+)'", text):
        assert list((clone / folder / 'vis').iterdir())


def run(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run ``[PYTHONPATH=.] vit-plugin X ...`` in this process."""
    if command[0] == 'PYTHONPATH=.':
        monkeypatch.syspath_prepend(os.getcwd())
        command = command[1:]
    program, name, *arguments = command
    assert program == 'vit-plugin'
    if name == 'train':
        arguments += ['--cfg-options', *TINY[Path(arguments[0]).stem], 'randomness.seed=0']
    monkeypatch.setattr(sys, 'argv', [program, name, *arguments])
    monkeypatch.setattr(CheckpointLoader, '_schemes', {**CheckpointLoader._schemes})
    main()
    work = Path('work_dirs', Path(arguments[0]).stem)
    if name == 'train' and work.name.startswith('pets_fast'):
        monkeypatch.setattr(sys, 'argv', [program, name, *arguments, '--no-validate', '--work-dir',
                                          'resumed', '--resume', f'{work}/iter_1.pth'])
        main()
        whole, resumed = (torch.load(folder / 'iter_2.pth', weights_only=False)['state_dict']
                          for folder in (work, Path('resumed')))
        assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_no_section_is_forgotten() -> None:
    assert set(EVIDENCE) <= {parameters.values[0] for parameters in sections()}


def test_worked_example_keeps_the_contracts(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page says that a backbone needs holds for the one on the page."""
    module, = (block for block in blocks(TEXTS['docs/extending.md']) if block.file == 'pool_net.py')
    (clone / module.file).write_text(module.text)
    monkeypatch.syspath_prepend(str(clone))
    import_module('pool_net')
    backbone = MODELS.build(dict(type='vit_plugin.PoolNet', embed_dims=16, depth=2))
    out, = backbone(torch.randn(2, 3, 50, 70))
    assert out.shape == (2, 16, 4, 5)
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    depths = [backbone.get_layer_depth(name, 'backbone.')[0] for name in (
        'backbone.patch_embed.projection.weight', 'backbone.layers.0.norm1.weight',
        'backbone.layers.1.ffn.layers.1.bias', 'backbone.norm.bias', 'head.fc.weight')]
    assert depths == [0, 1, 2, 3, 3]


def test_cosine_attention_is_what_the_page_says(tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    module, = (block for block in blocks(TEXTS['docs/extending.md'])
               if block.file == 'cosine_swin.py')
    code = module.text[module.text.index('class CosineAttention'):]
    assert len([line for line in code.splitlines() if line]) <= 30
    (tmp_path / module.file).write_text(module.text)
    monkeypatch.syspath_prepend(str(tmp_path))
    cosine = import_module('cosine_swin')
    del MODELS.module_dict['CosineSwin'], sys.modules['cosine_swin']

    layer = cosine.CosineAttention(8, 2, (3, 3))
    torch.nn.init.normal_(layer.relative_position_bias_table)
    x = torch.randn(2, 3, 3, 8)  # one window
    q, k, v = layer.qkv(x).view(2, 9, 3, 2, 4).permute(2, 0, 3, 1, 4)
    cosines = torch.cosine_similarity(q[:, :, :, None], k[:, :, None], dim=-1)
    weights = (10 * cosines + layer.bias()).softmax(-1)
    expected = layer.proj((weights @ v).transpose(1, 2).reshape(2, 3, 3, 8))
    torch.testing.assert_close(layer(x), expected)

    backbone = cosine.CosineSwin(dict(embed_dims=8, depths=(2, 2), num_heads=(2, 2)),
                                 window_size=3, out_indices=(0, 1), drop_path_rate=0.)
    outs = backbone(torch.randn(2, 3, 30, 41))
    sum(out.square().sum() for out in outs).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    backbone.eval()
    image = torch.randn(2, 3, 30, 41)
    with vit_plugin.backend('reference'):
        expected = backbone(image)
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            for a, b in zip(backbone(image), expected):
                torch.testing.assert_close(a, b)


@pytest.mark.parametrize('document', TEXTS)
def test_links_and_paths_exist(document: str) -> None:
    text = TEXTS[document]
    folder = (ROOT / document).parent
    for target, anchor in re.findall(r'\]\((?!https?:)([^)#\s]*)(#[\w-]+)?\)', text):
        path = (folder / target).resolve() if target else ROOT / document
        assert path.exists(), target
        if anchor:
            headings = re.findall(r'^#+ (.+)$', path.read_text(), re.MULTILINE)
            slugs = [re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')
                     for heading in headings]
            assert anchor[1:] in slugs, anchor
    for path in re.findall(r'(?<![\w/.:])(?:configs|docs|tests|tools|vit_plugin)/[\w./*-]+', text):
        assert list(ROOT.glob(path.rstrip('.'))), path


@pytest.mark.parametrize('document', TEXTS)
def test_types_are_registered(document: str) -> None:
    text = TEXTS[document]
    registries = [value for value in vars(registry).values()
                  if isinstance(value, Registry) and value.scope == 'vit_plugin']
    names = set(re.findall(r'\bvit_plugin\.([A-Z]\w*)', text))
    own = set(re.findall(r'^class (\w+)', text, re.MULTILINE)) | {'X'}
    for name in names - own:
        assert any(name in found for found in map(registered, registries)), name


def registered(found: Registry) -> dict[str, Any]:
    found.import_from_location()
    return found.module_dict


def mentioned_options(text: str) -> set[tuple[str, str]]:
    """(command, option) of every example and code span; ``''`` where no command is named."""
    commands = [command for block in blocks(text) if block.language == 'bash'
                for command in block.commands()]
    inline = BLOCK.sub('', text)
    commands += [span.replace('\\|', ' ').split()
                 for span in re.findall(r'`([^`\n]*--[^`\n]*)`', inline)]
    found = set()
    for command in commands:
        tools = [COMMAND_OF[Path(word).stem] for word in command if word.startswith('tools/dist')]
        if 'vit-plugin' in command[:2]:
            tools = [command[command.index('vit-plugin') + 1]]
        elif command[0].endswith('.py'):  # a script that is no command of ours
            tools = [command[0]]
        found |= {((tools or [''])[0], word) for word in command if re.match('--[a-z]', word)}
    return found


@pytest.mark.parametrize('document', TEXTS)
def test_options_exist(document: str, monkeypatch: pytest.MonkeyPatch,
                       capsys: pytest.CaptureFixture) -> None:
    helps = {}
    mentioned = mentioned_options(TEXTS[document])
    scripts = {tool for tool, _ in mentioned if tool.startswith('tools/')}
    for script in scripts:
        helps[script] = (ROOT / script).read_text()
    for tool in {'train', 'convert', *(tool for tool, _ in mentioned if tool)} - scripts:
        monkeypatch.setattr(sys, 'argv', ['vit-plugin', tool, '--help'])
        with pytest.raises(SystemExit):
            main()
        helps[tool] = capsys.readouterr().out
    for tool, option in mentioned:
        known = helps[tool] if tool else ' '.join(helps.values())
        assert re.search(rf'{option}\b(?!-)', known), (tool, option)


def test_settings_exist() -> None:
    """Every KEY=VALUE of docs/configs.md is in a config, or an argument of what its parent builds.
    """
    configs = [Config.fromfile(ROOT / 'configs' / path) for path in (
        'classification/swin-tiny_finetune_folder.py',
        'distillation/deit-small_distilled_resnet50-soft.py',
        'detection/mask-rcnn_swin-tiny_fpn_1x_coco.py',
        'segmentation/upernet_swin-tiny_160k_ade20k-512x512.py')]
    keys = re.findall(r'`([a-z_]+(?:\.\w+)+)=[^`]+`', TEXTS['docs/configs.md'])
    assert len(keys) > 15
    for key in keys:
        assert any(takes(config._cfg_dict, key.split('.')) for config in configs), key


def takes(part: Any, keys: list[str]) -> bool:
    """Whether a config has a setting, or builds something that has it as an argument."""
    key, *rest = keys
    if isinstance(part, list):
        part = dict(zip(map(str, range(len(part))), part))
    if rest:
        return isinstance(part.get(key), (dict, list)) and takes(part[key], rest)
    name = part.get('type', 'OptimWrapper')
    built = MODELS.get(name) or OPTIM_WRAPPERS.get(name) or HOOKS.get(name)
    return key in part or (built is not None and key in signature(built).parameters)


def test_repository_files() -> None:
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == vit_plugin.__version__
    assert vit_plugin.__version__ in (ROOT / 'CHANGELOG.md').read_text()
    for reference in citation['references']:
        assert reference['title'] in re.sub(r'\\(?=&)', '', TEXTS['README.md'])
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    makefile = (ROOT / 'Makefile').read_text()
    for hook in hooks:
        tool = re.match(r'\.venv/bin/python -m (\w+)', hook['entry'])[1]
        assert f'$(RUN) -m {tool} ' in makefile
