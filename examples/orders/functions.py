"""The functions of the method beside this file."""

from pipelex import WorkingMemory, pipe_func


@pipe_func
def sum_order(working_memory: WorkingMemory) -> dict[str, float]:
    """Sum an order; what is returned is fitted to the output concept, Totals."""
    lines = working_memory.get_stuff("lines").data
    net = sum(line["count"] * line["price"] for line in lines)
    return {"net": net, "gross": round(net * 1.2, 2), "items": sum(line["count"] for line in lines)}
