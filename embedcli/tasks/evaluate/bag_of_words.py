"""The baseline of every table: texts as bags of words, weighted by TF-IDF, compared by cosine.

What an encoder does not do better than this is not worth its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

NAME: Final = "bag of words"
"""What the baseline is called in every table."""

_WORD: Final = r"(?u)\b\w+\b"
"""Runs of letters, digits and low lines; scikit-learn's own pattern leaves out words of one character."""


class TfidfVectors:
    """The words of some texts, and how rare each is among them.

    A word, in lower case, weighs (1 + ln count) times (1 + ln((1 + texts) / (1 + texts that have it))). Words
    that none of the fitted texts has are passed over. Memory is O(different words).

    Source: K. Sparck Jones, "A statistical interpretation of term specificity and its application in
    retrieval", Journal of Documentation 28, 1972; the logarithm of the count as in C. Buckley, "The
    importance of proper term weighting methods", HLT 1993. The code is scikit-learn's `TfidfVectorizer`.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Count the words of texts, which may have none at all."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._words: Any = TfidfVectorizer(token_pattern=_WORD, sublinear_tf=True)
        analyze = self._words.build_analyzer()
        self._is_empty = not any(analyze(text) for text in texts)
        if not self._is_empty:
            self._words.fit(texts)

    def vectors(self, texts: Sequence[str]) -> Any:
        """Return a `scipy.sparse.csr_matrix`, shape (n, words), float64.

        Rows have unit length, or are zero where no word of a text is known; without known words at all there
        is one column of zeros.
        """
        if self._is_empty:
            from scipy.sparse import csr_matrix

            return csr_matrix((len(texts), 1))
        return self._words.transform(texts)


def word_cosines(lefts: Sequence[str], rights: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the TF-IDF cosine of each text on the left with the one beside it, 0 to 1; words are of both.

    Args:
        lefts: n texts.
        rights: As many.

    Returns:
        Shape (n,), float64.
    """
    import numpy as np

    words = TfidfVectors(list(dict.fromkeys([*lefts, *rights])))
    products = words.vectors(lefts).multiply(words.vectors(rights)).sum(axis=1)
    # Sums of rounded squares come out a little above 1.
    return np.clip(np.asarray(products, dtype=np.float64).ravel(), 0.0, 1.0)
