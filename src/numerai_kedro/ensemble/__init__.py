"""From models to one prediction: weights, blends, member scores, neutralisation."""
