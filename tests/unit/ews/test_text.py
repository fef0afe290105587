import re

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from worker.ews.text import escaped

ANY_TEXT = st.text(st.characters(codec=None, categories=None)) | st.text(
    st.sampled_from("\x00\x08\t\n\x0b\x0c\r\x1f <&>\"']\ud800\udc00\udfff\ufffe\uffff\ufffd\U0001f600é")
)


def carried(text: str) -> str:
    """What XML can carry of a text: the same rule, said another way."""
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    spaced = re.sub("[\x0b\x0c]", " ", joined)
    return re.sub("[\ufffe\uffff]", "\ufffd", re.sub("[\x00-\x08\x0e-\x1f]", "", spaced))


@given(ANY_TEXT)
def test_any_text_arrives_as_far_as_xml_can_carry_it(text: str) -> None:
    root = etree.fromstring(b'<a b="' + escaped(text) + b'">' + escaped(text) + b"</a>")

    assert (root.text or "") == carried(text)
    assert root.get("b") == re.sub("[\t\n]", " ", carried(text))  # XML 1.0, 3.3.3: attributes know no line ends


def test_the_halves_of_a_cut_pair_are_replaced_and_whole_pairs_kept() -> None:
    assert escaped("a\ud83d").decode() == "a\ufffd"
    assert escaped("\ud83d\ude00").decode() == "\U0001f600"
