"""The options about the encoder, for commands that make vectors of records."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.cli import options

if TYPE_CHECKING:
    from embedcli.cli.run import Run
    from embedcli.index.meta import Identity
    from embedcli.tasks.vectorize import Vectorizer


@dataclass(frozen=True)
class EncodeOptions:
    """What was typed about the encoder, in the order of the help text."""

    prompt: options.Prompt = None
    on_long: options.OnLong = None
    model: options.Model = None
    variant: options.Variant = None
    device: options.Device = "auto"
    jobs: options.Jobs = None
    dim: options.Dim = None
    pooling: options.Pooling = None
    cache: options.CacheFile = None
    no_cache: options.NoCache = False

    def open(
        self, stack: ExitStack, run: "Run", identity: "Identity | None" = None, *, reads_files: bool
    ) -> "Vectorizer":
        """Return a vectorizer of documents, vectors of unit length, open as long as the stack is.

        Args:
            stack: Closes it, and the cache.
            run: Counts, and says notices.
            identity: Of an index whose vectors are compared: its model, where none was typed.
            reads_files: Whether files were named, whose vectors the user's cache keeps.

        Raises:
            UsageError: What was typed makes no sense.
            UnknownModelError: There is no such model.
        """
        from embedcli.cli.resolve import encoder_settings, on_long_of, open_cache, open_model
        from embedcli.tasks.vectorize import Vectorizer, VectorSettings

        model, variant, dim, pooling = self.model, self.variant, self.dim, self.pooling
        if identity is not None:
            model, variant = model or identity.model, variant or identity.variant
            dim, pooling = dim or identity.dim, pooling or identity.pooling
        settings = VectorSettings(
            "document", self.prompt, on_long_of(self.on_long, "pool"), dim, normalize=True
        )
        encoder = encoder_settings(device=self.device, jobs=self.jobs, variant=variant, pooling=pooling)
        store = stack.enter_context(open_cache(self.cache, no_cache=self.no_cache, by_default=reads_files))
        vectorizer = Vectorizer(
            open_model(model), encoder, settings, run.counts, cache=store, on_notice=run.notice
        )
        stack.callback(vectorizer.close)
        return vectorizer
