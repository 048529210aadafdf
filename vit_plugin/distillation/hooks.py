"""Hooks for training with a teacher."""
import time
from itertools import islice
from typing import Any

import torch
from mmengine.device import is_cuda_available
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from vit_plugin.errors import UserError
from vit_plugin.registry import HOOKS
from vit_plugin.toolkits import unwrap

from .losses import Distillation, ScoreDistillation
from .model import DistilledModel


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """Scores the teachers on validation images before training, and stops if one is too bad.

    Scored are all classifiers whose scores are learnt, on the path of training: the student's
    preprocessor, the conversion of pixels, and the optimizer wrapper's precision.

    Args:
        min_accuracy: Least top-1 accuracy in percent, in (1, 100].
        num_batches: Validation batches to score in each process.
    """

    priority = 'VERY_LOW'

    def __init__(self, min_accuracy: float, num_batches: int = 20) -> None:
        if not 1 < min_accuracy <= 100:
            raise UserError(f'min_accuracy={min_accuracy} must be in percent, in (1, 100]')
        if num_batches < 1:
            raise UserError(f'num_batches={num_batches} must be positive')
        self.min_accuracy = min_accuracy
        self.num_batches = num_batches

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        model = student_of(runner, type(self).__name__)
        scored = {pair.teacher for pair in model.pairs
                  if pair.kind.compares == 'scores' and not pair.theirs.tap.text}
        if any(pair.loss.sigmoid for pair in model.pairs if pair.teacher in scored):
            raise UserError('TeacherCheckHook counts right classes, of which images with several '
                            'labels, or a single score, have no highest: leave the hook out')
        if not scored:
            raise UserError('TeacherCheckHook scores classifiers, but nothing is learnt of a '
                            "teacher's scores here: leave the hook out")
        if runner.val_loop is None:
            raise UserError('TeacherCheckHook needs validation data: give val_dataloader, or '
                            'leave the hook out')
        teachers = [teacher for teacher in model.teachers if teacher in scored]
        counts = torch.zeros(len(teachers) + 1)
        for batch in islice(runner.val_dataloader, self.num_batches):
            data = model.data_preprocessor(batch, training=False)
            labels = torch.cat([sample.gt_label for sample in data['data_samples']])
            with runner.optim_wrapper.optim_context(runner.model):
                right = [(teacher(data['inputs']).argmax(1) == labels).sum().item()
                         for teacher in teachers]
            counts += torch.tensor([*right, len(labels)])
        all_reduce(counts)
        for teacher, right in zip(teachers, counts.tolist()):
            number = model.teachers.index(teacher)
            name = 'the teacher' if len(model.teachers) == 1 else f'teacher {number}'
            self.require(runner, name, 100 * right / float(counts[-1]), int(counts[-1]))

    def require(self, runner: Runner, name: str, accuracy: float, images: int) -> None:
        """Log the accuracy (percent) of a teacher; `UserError` if it is too low."""
        found = f'{name} has {accuracy:.1f} % top-1 accuracy on {images} validation images'
        runner.logger.info(f'{found[0].upper()}{found[1:]}.')
        if accuracy < self.min_accuracy:
            raise UserError(
                f'{found}, less than min_accuracy={self.min_accuracy}. Check that its '
                'data_preprocessor has the mean, std and channel order (to_rgb) that it was '
                "trained with, that its classes are in the order of the data set's, and that its "
                'checkpoint is the right one. If it is as good as it gets, lower min_accuracy')


@HOOKS.register_module()
class DistillationScheduleHook(Hook):
    """Changes the loss's weight and temperature linearly, and switches the teacher off at last.

    Everything follows from the epoch, so a resumed run goes on where it was.

    Args:
        weight: (first, last) value of ``distillation.weight``; ``None`` leaves it.
        temperature: (first, last) value of ``distillation.temperature``; ``None`` leaves it.
        off_last: For so many epochs at the end the weight is 0, and the teacher does not run.
            The last values are reached before these.
        by_epoch: ``False`` counts iterations instead of epochs.
    """

    def __init__(self, weight: tuple[float, float] | None = None,
                 temperature: tuple[float, float] | None = None, off_last: int = 0,
                 by_epoch: bool = True) -> None:
        if weight is not None and (len(weight) != 2 or min(weight) < 0):
            raise UserError(f'weight={weight} must be two numbers that are not negative')
        if temperature is not None and (len(temperature) != 2 or min(temperature) <= 0):
            raise UserError(f'temperature={temperature} must be two positive numbers')
        if off_last < 0 or (weight is None and temperature is None and off_last == 0):
            raise UserError(f'nothing is scheduled: give weight, temperature or off_last > 0 '
                            f'(got off_last={off_last})')
        self.weight, self.temperature = weight, temperature
        self.off_last, self.by_epoch = off_last, by_epoch

    def before_train(self, runner: Runner) -> None:
        model = student_of(runner, type(self).__name__)
        distillation: Any = model.distillation
        if not isinstance(distillation, Distillation):
            raise UserError('DistillationScheduleHook schedules a single loss, but there are '
                            f'{len(distillation)}')
        if self.temperature is not None and not hasattr(distillation, 'temperature'):
            raise UserError(f'{type(distillation).__name__} has no temperature to schedule')
        if self.temperature is not None and model.stores:
            raise UserError('stored scores are those at one temperature: leave temperature of the '
                            'DistillationScheduleHook out, or store= of the teacher')
        self.ends = self.weight or (distillation.weight, distillation.weight)
        most = max(self.ends) * model.teacher.weight
        if most > 1 and isinstance(distillation, ScoreDistillation):
            raise UserError(f'weight={self.ends} reaches {most:g} with the weight of the '
                            'teacher, and leaves nothing to the labels: 1 is the most')
        if self.by_epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise UserError('an iteration-based training has no epochs to schedule by: '
                            'by_epoch=False')
        total = runner.max_epochs if self.by_epoch else runner.max_iters
        if self.off_last >= total:
            raise UserError(f'off_last={self.off_last} must be less than the whole training, '
                            f'{total}')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        distillation: Any = student_of(runner, type(self).__name__).distillation
        now, total = runner.iter, runner.max_iters
        if self.by_epoch:
            now, total = runner.epoch, runner.max_epochs
        steps = total - self.off_last
        progress = min(now / max(steps - 1, 1), 1.)
        weight = 0. if now >= steps else interpolate(self.ends, progress)
        distillation.weight = weight
        runner.message_hub.update_scalar('train/distill_weight', weight)
        if self.temperature is not None:
            distillation.temperature = interpolate(self.temperature, progress)
            runner.message_hub.update_scalar('train/temperature', distillation.temperature)


@HOOKS.register_module()
class TeacherTimeHook(Hook):
    """Logs ``teacher_share``, the teachers' share of the time from step to step.

    On CUDA, events are read once the device has passed them, so no step waits for the device; a
    share then belongs to an earlier step.
    """

    def before_train(self, runner: Runner) -> None:
        self.cuda = is_cuda_available()
        self.calls: list[tuple[Any, Any]] = []
        self.last_step: float | None = None
        self.handles: list[Any] = []
        for teacher in student_of(runner, type(self).__name__).teachers:
            self.handles += [teacher.entry.register_forward_pre_hook(self.start),
                             teacher.entry.register_forward_hook(self.stop)]

    def after_train(self, runner: Runner) -> None:
        for handle in self.handles:
            handle.remove()

    def now(self) -> Any:
        """This moment, on the device's clock."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def start(self, *_: Any) -> None:
        self.begin = self.now()

    def stop(self, *_: Any) -> None:
        self.calls.append((self.begin, self.now()))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        now, last = time.perf_counter(), self.last_step
        self.last_step = now
        over = [call for call in self.calls if not self.cuda or call[1].query()]
        self.calls = self.calls[len(over):]
        if last is not None:
            seconds = sum(self.seconds(*call) for call in over)
            runner.message_hub.update_scalar('train/teacher_share', seconds / (now - last))

    def seconds(self, begin: Any, end: Any) -> float:
        """The time between two moments."""
        return begin.elapsed_time(end) / 1000 if self.cuda else end - begin

    def before_train_epoch(self, runner: Runner) -> None:
        """Count neither validation nor saving as part of a step."""
        self.calls, self.last_step = [], None


def interpolate(ends: tuple[float, float], progress: float) -> float:
    """The value at a progress in [0, 1] from the first to the last."""
    return ends[0] + (ends[1] - ends[0]) * progress


def student_of(runner: Runner, hook: str) -> DistilledModel:
    """The runner's model without wrappers, or `UserError` if it has no teacher."""
    model = unwrap(runner.model)
    if not isinstance(model, DistilledModel):
        raise UserError(f'{hook} needs a vit_plugin.DistilledClassifier or Distilled, '
                        f'got {type(model).__name__}')
    return model
