"""The Python API: `DatasetManager`, which composes the layers below it.

api               `DatasetManager`
datasets          its methods on datasets
downloads         its methods on downloads
tokenizations     its methods on tokenizations
holding           its method that keeps a dataset from being deleted
previews          its method that shows what a text becomes
samples           its methods that look into the data
indexing          its methods on full-text indexes
upkeep            its methods on the data folder as a whole
core              what all stand on: lifetime, jobs, events
checks            what is refused at once
dataset_work      what import and download jobs share
import_work       what an import job does
download_work     what a download job does
tokenize_work     what tokenize jobs do
verify_work       what a verify job does
index_work        what an index job does
auto_index        when an index is built unasked
events            what subscribers are told
shown             how rows and tokens are shown
question          what the methods that read files have in common
searching         which rows a search finds, remembered
scanning          a search by reading, which goes on in the background
loading           the text as HuggingFace ``datasets``
looking           what is kept between questions about the data
shared_work       work that several ask for and that is done once
view              the catalog's facts with live jobs laid over them
follow            noticing what other processes change
recovery          what a process that died left behind
taking_up         rows for what the catalog does not know
notes             what only the catalog knows of managers that live, for when it is lost
journal           what happened, told to the log and to the metrics
leftovers         what nobody needs any more
parts             the pieces that the others share
"""

from .api import DatasetManager

__all__ = ["DatasetManager"]
