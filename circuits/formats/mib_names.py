"""What MIB's circuit localization track calls tasks with models, and the file of each.

Read from (facts only): github.com/mttk/MIB-circuit-track-autoeval, eval_submissions.py at
30c645650c5d84e2d5f549beae3891502fda6703, run_evaluation.py at
63d00e8f5c6454b423d989ed22dbacf87bfb6826 and MIB_circuit_track/utils.py at
dc2b77736f89026ab8bee0e708e5d8eadd788aa7.
"""

from __future__ import annotations

from circuits.errors import InputError
from circuits.errors.wording import unknown_name

FILE = "importances.json"
MODELS = {
    "gpt2": "gpt2",
    "Qwen/Qwen2.5-0.5B": "qwen2.5",
    "google/gemma-2-2b": "gemma2",
    "meta-llama/Llama-3.1-8B": "llama3",
}
"""What the track calls models, by their names here."""
FOLDERS = (
    *("ioi_gpt2", "ioi_qwen2.5", "ioi_gemma2", "ioi_llama3"),
    *("mcqa_qwen2.5", "mcqa_gemma2", "mcqa_llama3"),
    *("arithmetic-addition_llama3", "arithmetic-subtraction_llama3"),
    *("arc-easy_gemma2", "arc-easy_llama3", "arc-challenge_llama3"),
)
"""Every task with every model that the track has it for."""


def mib_folder(task: str, model: str) -> str:
    """What the track calls a task with a model.

    Args:
        task: Its name, such as "ioi" or "arithmetic_addition".
        model: Its name, as `load_model` takes it, or as the track has it.

    Raises:
        InputError: The track has no such task, or not with this model.

    >>> mib_folder("ioi", "Qwen/Qwen2.5-0.5B")
    'ioi_qwen2.5'
    """
    folder = f"{task.replace('_', '-')}_{MODELS.get(model, model)}"
    check_mib_folder(folder, f"task {task!r} with model {model!r}")
    return folder


def check_mib_folder(folder: str, asked: str) -> None:
    """Raise InputError unless the track has a folder of that name."""
    if folder not in FOLDERS:
        raise InputError(
            f"{asked} is not in MIB's circuit localization track: "
            + unknown_name("folder", folder, FOLDERS)
        )
