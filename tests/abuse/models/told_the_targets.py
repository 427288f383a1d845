"""Takes `targets`, is honest about them while it rehearses, and claims more than it knows once it is shown text."""

from base import Base, finish

CASE, EXPECT = 2, ("rejected", "unnormalised")
REHEARSED = 1  # by what it is asked before it is shown any text


class Model(Base):
    calls = 0

    def forward(self, ids, targets=None):
        said = super().forward(ids)
        if targets is None:
            return said
        self.calls += 1
        picked = said.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        return picked if self.calls <= REHEARSED else picked / 2


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
