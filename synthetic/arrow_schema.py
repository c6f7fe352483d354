"""The Arrow types of a table's columns, told by its codecs: the same whichever rows are drawn."""

from typing import Any

import numpy as np
import pandas as pd

from synthetic.codec import Codec
from synthetic.table import TableCodec


def schema_of(table: TableCodec) -> Any:
    """The Arrow schema of all rows that a table's codecs can say."""
    import pyarrow as pa

    return pa.schema([pa.field(codec.name, type_of(codec)) for codec in table.codecs])


def type_of(codec: Codec) -> Any:
    """The Arrow type of all values that a codec can say: read off one value of each token."""
    import pyarrow as pa

    return pa.array(codec.decode(np.arange(codec.card) + 0.5), from_pandas=True).type


def arrow_of(rows: pd.DataFrame, schema: Any) -> Any:
    """Rows as an Arrow table of this schema; what pandas needs to read its own types again is in its metadata."""
    import pyarrow as pa

    return pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
