"""The networks themselves, of torch from top to bottom: int8 features in, predictions out.

Imported where a network is trained or predicts, never before.
"""
