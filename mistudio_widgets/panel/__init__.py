"""`DatasetsPanel`: the widget.

widget     traits, published as they become true
answers    what each kind of request is answered with
service    the threads that publish and answer, and the end of a request that is aborted
cells      which panel belongs to which run of a notebook's cell
"""

from .widget import DatasetsPanel

__all__ = ["DatasetsPanel"]
