"""Live predictions to receipts, by round and slot.

live predictions, gate_decision, champions ─► write ─► submission (csv)
submission, gate_decision, tournament ─► submit ─► submission_receipt
submission_receipt, gate_decision, models ─► promote ─► champion_store, champions
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.models.registry import model_names
from numerai_kedro.pipelines.slots import slots_node
from numerai_kedro.pipelines.submission import nodes


def create_pipeline() -> Pipeline:
    """Wire every entry that can feed a slot."""
    return Pipeline(
        [
            slots_node(),
            Node(
                nodes.write,
                {
                    "slots": "slots",
                    "round_info": "round_info",
                    "gate_decision": "gate_decision",
                    "champions": "champion.live_predictions",
                    "ensemble": "ensemble.live_predictions",
                    **{model: f"{model}.live_predictions" for model in model_names()},
                },
                "submission",
                name="write_submission",
            ),
            Node(
                nodes.submit,
                [
                    "tournament",
                    "live_panel",
                    "submission",
                    "gate_decision",
                    "slots",
                    "round_info",
                    "payout_notes",
                    "receipts_before",
                    "params:submission",
                ],
                "submission_receipt",
                name="submit",
                tags=["always"],
            ),
            Node(
                nodes.promote,
                {
                    "gate_decision": "gate_decision",
                    "submission_receipt": "submission_receipt",
                    "champion_store": "champion_store",
                    "round_info": "round_info",
                    "slots": "slots",
                    "scores": "round_scores",
                    "weights": "round_weights",
                    "neutralisation": "neutralisation",
                    **{model: f"{model}.model" for model in model_names()},
                },
                "champions",
                name="promote",
            ),
        ]
    )
