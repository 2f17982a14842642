"""From live predictions to receipts, by round and slot.

submission, gate_decision, tournament ─► submit ─► submission_receipt
submission_receipt, gate_decision, models ─► promote ─► champion_store, champions
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.slots import slots_node
from numerai_kedro.pipelines.submission import nodes
from numerai_kedro.pipelines.wiring import as_named, of_models


def create_pipeline() -> Pipeline:
    """Wire every entry that can feed a slot."""
    return Pipeline(
        [
            slots_node(),
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
                    **as_named(
                        "gate_decision",
                        "submission_receipt",
                        "champion_store",
                        "round_info",
                        "slots",
                    ),
                    "scores": "round_scores",
                    "weights": "round_weights",
                    "neutralisation": "neutralisation",
                    **of_models("model"),
                },
                "champions",
                name="promote",
            ),
        ]
    )
