from iebench.report.published import published_rows


def scores(method: str, source: str, told: tuple[str, ...] = ("rotation",)) -> dict[str, float]:
    """The scores of one published row."""
    (row,) = (
        row
        for row in published_rows()
        if row.method == method and row.source.title.startswith(source) and row.told == told
        and row.variant == "3diebench"
    )  # fmt: skip
    return dict(row.scores)


def test_rows_say_which_r2_they_hold():
    by_source = {row.source.title.split(" ")[0]: row.r2 for row in published_rows() if not row.note}
    assert by_source["EquiCaps,"] == by_source["ContextSSL"] == "pooled"
    assert by_source["seq-JEPA"] == "per_component"
    unknown = [row for row in published_rows() if row.r2 == "unknown"]
    assert [row.method for row in unknown] == ["ContextSSL (context 126)"]


def test_scores_are_shares_and_rows_are_told_apart():
    rows = published_rows()
    for row in rows:
        assert all(-1 <= score <= 1 for score in row.scores.values())
        assert row.source.title
    assert len({(row.method, row.variant, row.told, row.source.title) for row in rows}) == len(rows)


def test_a_few_numbers_are_those_of_the_papers():
    assert scores("EquiCaps", "EquiCaps, README") == {"top1": 0.8324, "rotation_r2": 0.78}
    assert scores("SIE", "seq-JEPA (arXiv 2505.03176), Table 11")["rotation_r2"] == 0.721
    assert scores("SIE", "ContextSSL")["rotation_r2"] == 0.671
    assert {row.variant for row in published_rows()} == {"3diebench", "translated", "ood"}
