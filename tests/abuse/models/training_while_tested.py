"""Takes a gradient step on every batch it is asked about, after answering."""

import torch
import torch.nn.functional as F
from base import Base, finish

CASE, EXPECT = 6, ("rejected", "stateful")


class Model(Base):
    def forward(self, ids):
        answer = super().forward(ids).clone()
        with torch.inference_mode(False), torch.enable_grad():
            ids = ids.clone()
            logits = super().forward(ids[:, :-1])
            F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
            with torch.no_grad():
                self.table.weight.sub_(20.0 * self.table.weight.grad)
                self.table.weight.grad = None
        return answer


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
