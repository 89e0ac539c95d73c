"""Every error that names what was wrong with what was given or found, in one tree.

The command line prints each of these as one sentence. Any other error that it ends with is a
defect of ours. The classes an error has beside ours (`ValueError`, `RuntimeError`, ...) are those
that Python code would expect there.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor

from circuits.errors.wording import cause as cause
from circuits.errors.wording import plural as plural
from circuits.errors.wording import quoted as quoted
from circuits.errors.wording import quoted_list as quoted_list
from circuits.errors.wording import shortened as shortened
from circuits.errors.wording import unknown_name as unknown_name


class CircuitsError(Exception):
    """The base of every error of this package that its user can do something about.

    >>> try:
    ...     load_reference("ioi-gpt3")
    ... except CircuitsError as error:
    ...     print(error)
    unknown reference 'ioi-gpt3'; did you mean 'ioi-gpt2'? known references: ...
    """


class InputError(CircuitsError, ValueError):
    """What was given cannot be used: out of range, malformed, or at odds with something else.

    >>> Head.parse("9.x")
    Traceback (most recent call last):
    circuits.errors.InputError: a head is written layer.index, for example 9.6; got '9.x'
    """


class SettingError(InputError):
    """A setting is out of range, or one of several that do not go together.

    >>> DiscoveryConfig(n_prompts=0)
    Traceback (most recent call last):
    circuits.errors.SettingError: n_prompts must be at least 1 and at most 100000, got 0
    """


class UnknownNameError(InputError):
    """There is no task, metric, reference, method or the like of this name.

    >>> load_reference("ioi-gpt3")
    Traceback (most recent call last):
    circuits.errors.UnknownNameError: unknown reference 'ioi-gpt3'; did you mean 'ioi-gpt2'? ...
    """


class MismatchError(InputError):
    """Two things do not belong together: models of other shape, other weights, other rows.

    >>> circuit.compare(Circuit.of_heads(["9.6"], 12, 12))
    Traceback (most recent call last):
    circuits.errors.MismatchError: the circuits belong to different models: 3 layers x 4 heads and
    12 x 12
    """


class FormatError(InputError):
    """A file, or text of a format, is damaged or of another kind; the message says where.

    >>> Reference.from_json("{}")
    Traceback (most recent call last):
    circuits.errors.FormatError: a reference is malformed: name: Field required
    """


class NoEffectError(InputError):
    """The metric by which effects or shares are normalised is zero, so nothing can be measured.

    That is the difference of clean and corrupted metric for path effects, and the full model's
    metric for performance.

    >>> from dataclasses import replace
    >>> from circuits.patching import effect_table
    >>> effect_table(model, replace(pairs, corrupted=pairs.clean))
    Traceback (most recent call last):
    circuits.errors.NoEffectError: clean minus corrupted metric is 0: ...
    """


class TaskError(InputError):
    """A task was asked for something that it, or the tokenizer, cannot give.

    >>> get_task("ioy")
    Traceback (most recent call last):
    circuits.errors.TaskError: unknown task 'ioy'; did you mean 'ioi'? known tasks: ...
    """


class UncorruptedError(TaskError):
    """A pair's two prompts are the same.

    >>> from circuits.tasks.tokenization import PairEncoder
    >>> PairEncoder(tokenizer).encode(PromptPair("w1 w2", "w1 w2", (" w3",), (" w4",)))
    Traceback (most recent call last):
    circuits.errors.UncorruptedError: the clean and the corrupted prompt are the same: 'w1 w2'
    """


class ResumeError(InputError):
    """A directory holds no run to resume, or one of another model, prompts or settings.

    >>> discover_seeds(model, task, directory=directory / "nothing", resume=True)
    Traceback (most recent call last):
    circuits.errors.ResumeError: asked to resume a study of seeds in ..., which holds none: ...
    """


class BusyError(CircuitsError):
    """Another process is at work in the directory that was asked for.

    >>> issubclass(BusyError, CircuitsError), issubclass(BusyError, InputError)
    (True, False)
    """


class OverwriteError(InputError):
    """A directory holds something else than what is to be written there.

    >>> from dataclasses import replace
    >>> found.save(directory / "mine")
    >>> replace(found, config=replace(config, seed=7)).save(directory / "mine")
    Traceback (most recent call last):
    circuits.errors.OverwriteError: ... holds a run.json of seed 0, not 7: name another ...
    """


class MissingRunError(CircuitsError, FileNotFoundError):
    """A directory holds no saved run.

    >>> Discovery.load(directory / "nothing")
    Traceback (most recent call last):
    circuits.errors.MissingRunError: ... is no saved run: it lacks circuit.json, run.json, ...
    """


class SaveError(CircuitsError):
    """The command line computed and printed a result, and could not save it.

    >>> issubclass(SaveError, CircuitsError), issubclass(SaveError, OSError)
    (True, False)
    """


class ExecutorError(CircuitsError, RuntimeError):
    """Jobs cannot be run where they were to be run: something is not installed, or not there.

    >>> from circuits.runtime.workers import Workers
    >>> Workers("processes", options={"partition": "gpu"}).check()
    Traceback (most recent call last):
    circuits.errors.ExecutorError: processes take no options, got partition: leave it out, or ...
    """


class FailedRunsError(CircuitsError, RuntimeError):
    """Some runs of a batch failed; its table says why.

    >>> issubclass(FailedRunsError, CircuitsError), issubclass(FailedRunsError, InputError)
    (True, False)
    """


class LostWorkerError(ExecutorError, BrokenExecutor):
    """A process ended before the job that it was at work on.

    >>> issubclass(LostWorkerError, ExecutorError), issubclass(LostWorkerError, BrokenExecutor)
    (True, True)
    """


class PictureError(CircuitsError, RuntimeError):
    """A picture cannot be drawn on this machine, which lacks kaleido or a browser for it.

    >>> issubclass(PictureError, RuntimeError), issubclass(PictureError, InputError)
    (True, False)
    """


class ModelError(CircuitsError, RuntimeError):
    """A model cannot be loaded or used.

    >>> try:
    ...     load_model(directory / "nothing")
    ... except ModelError as error:
    ...     print(type(error).__name__)
    UnknownModelError
    """


class UnknownModelError(ModelError):
    """No model goes by this name, or the path holds no checkpoint.

    >>> load_model(directory / "nothing")
    Traceback (most recent call last):
    circuits.errors.UnknownModelError: there is no directory ...: give a checkpoint directory, ...
    """


class DownloadError(ModelError):
    """A model could not be fetched, or what arrived is not what was published.

    >>> issubclass(DownloadError, ModelError), issubclass(DownloadError, InputError)
    (True, False)
    """


class NotEnoughSpaceError(ModelError):
    """A disk has too little room for a model's weights or for results, or cannot be written to.

    >>> issubclass(NotEnoughSpaceError, ModelError), issubclass(NotEnoughSpaceError, InputError)
    (True, False)
    """


class NotEnoughMemoryError(ModelError, MemoryError):
    """A model, or what is computed with it, does not fit into memory.

    >>> issubclass(NotEnoughMemoryError, MemoryError)
    True
    """


class UnsupportedModelError(ModelError):
    """The model's architecture is one that circuits cannot be searched in.

    >>> (directory / "bert").mkdir()
    >>> config = '{"model_type": "bert", "architectures": ["BertForMaskedLM"]}'
    >>> _ = (directory / "bert" / "config.json").write_text(config)
    >>> load_model(directory / "bert")
    Traceback (most recent call last):
    circuits.errors.UnsupportedModelError: ... (BertForMaskedLM) is not a causal language model ...
    """


class NonFiniteError(ModelError):
    """Logits, or what is computed of them, are NaN or infinite: too large for the dtype, as a rule.

    >>> print(NonFiniteError("the metric is NaN or infinite on 3 of 16 prompts"))
    the metric is NaN or infinite on 3 of 16 prompts
    """


class ModelOptionError(ModelError, InputError):
    """A dtype or device that does not exist, or not on this machine.

    >>> load_model("gpt2", dtype="float7")
    Traceback (most recent call last):
    circuits.errors.ModelOptionError: dtype must be one of float64, float32, bfloat16, float16, got
    float7
    """
