"""Training and loading beside open_clip's own trainer and its own transform and tokenizer, by turns on this machine.

    python benchmarks/train.py [compute] [loader] [gpu] [--scratch DIR] [--threads 1] [--turns 5]

compute: scale nano on the CPU, both trainers from the same weights on the same batches in memory; open_clip's are normalised beforehand, as
its loader hands them out, ours in the step. Ours is measured with and without its own gradients of depthwise convolutions on tiny grids.
loader: pictures of 60 to 80 KB whose longer side is 512, of which one process makes 224-px training batches. open_clip's side is its own
pipeline but for the parts that today's webdataset lacks or that unpickle members; pixels and tokens are compared before anything is timed.
gpu: ViT-B/32 in batches of 4,096, beside open_clip's trainer with DataComp's flags. Of each side the fastest turn counts, the one that was
disturbed least.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import open_clip
import torch
import webdataset
from filters import captions
from open_clip_train import data as their_data
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from datacomp import draws, tars
from datacomp.declared import scale as scales
from datacomp.declared.scale import Budget, Scale
from datacomp.launch import local
from datacomp.network import build, embed
from datacomp.train import data, loop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import open_clip_trainer

WARM_UP_STEPS = 3
NANO_STEPS, GPU_STEPS = 60, 15
DATACOMP_FLAGS = ("--precision", "amp", "--grad-checkpointing", "--ddp-static-graph")
DISTINCT_PICTURES, PICTURES, BATCH_SAMPLES, BATCHES = 200, 1_000, 64, 14
SIDES = ((512, 512), (512, 384), (384, 512), (512, 340))  # height and width
SEED = 0

Both: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]  # by the clock on the wall, and by processor time of this process
Turn: TypeAlias = Callable[[], Both]  # gives samples/s


def fastest(turns: int, sides: dict[str, Turn]) -> dict[str, Both]:
    """The best rates of each side, the sides taking turns."""
    found = [{name: side() for name, side in sides.items()} for _ in range(turns)]
    return {name: np.max([turn[name] for turn in found], axis=0) for name in sides}


def clock(device: str = "cpu") -> Both:
    """The time, once the device has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()
    return np.array([time.perf_counter(), time.process_time()])


def timed(batches: Iterable[Any], device: str, stamps: list[Both]) -> Iterator[Any]:
    """Hand out batches, and note when the first after the warm-up is handed out and when the last is done with."""
    for number, batch in enumerate(batches):
        if number == WARM_UP_STEPS:
            stamps.append(clock(device))
        yield batch
    stamps.append(clock(device))


def our_training(scale: Scale, device: str, batches: list[data.Batch], *, products: bool = True) -> Both:
    """Samples/s of our trainer."""
    trainer, stamps = loop.Trainer(scale, SEED, device, products=products), list[Both]()
    for batch in timed(batches, device, stamps):
        trainer.step(batch)
    return rate(scale, stamps)


def their_training(scale: Scale, device: str, batches: list[tuple[torch.Tensor, torch.Tensor]], flags: tuple[str, ...] = ()) -> Both:
    """Samples/s of open_clip's trainer."""
    network, stamps = loop.Trainer(scale, SEED, device, products=False).network, list[Both]()
    open_clip_trainer.train(scale, network, timed(batches, device, stamps), flags=flags, device=device)
    return rate(scale, stamps)


def rate(scale: Scale, stamps: list[Both]) -> Both:
    """Samples/s of the steps after the warm-up."""
    return (scale.budget.steps - WARM_UP_STEPS) * scale.budget.global_batch_samples / (stamps[1] - stamps[0])


def shortened(scale: Scale, steps: int, batch_samples: int) -> Scale:
    """A recipe with fewer steps."""
    budget = Budget(steps=steps, global_batch_samples=batch_samples, samples_seen=steps * batch_samples, checkpoints=1)
    return scale.model_copy(update={"budget": budget})


def in_float(scale: Scale, batches: list[data.Batch]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The same batches as open_clip's loader hands them out; those that come again share their memory."""
    made: dict[int, torch.Tensor] = {}
    for batch in batches:
        made.setdefault(id(batch.pixels), build.normalise(batch.pixels, scale.pixels))
    return [(made[id(batch.pixels)], batch.tokens) for batch in batches]


def compute(args: argparse.Namespace) -> None:
    """Both trainers on the CPU at scale nano."""
    local.set_threads(args.threads)
    scale = scales.load("nano")
    scale = shortened(scale, NANO_STEPS, scale.budget.global_batch_samples)
    batches = open_clip_trainer.drawn_batches(scale)
    theirs = in_float(scale, batches)
    sides = {
        "ours": lambda: our_training(scale, "cpu", batches),
        "plain": lambda: our_training(scale, "cpu", batches, products=False),
        "theirs": lambda: their_training(scale, "cpu", theirs),
    }
    best = fastest(args.turns, sides)
    print(f"nano on the CPU, {args.threads} threads: {against(best['ours'], best['theirs'])}")
    print(f"with torch's own convolutions: {against(best['plain'], best['theirs'])}", flush=True)


def against(ours: Both, theirs: Both) -> str:
    """Both rates and their ratio, by the wall and by processor time, which others on the machine disturb less."""
    wall, processor = ours / theirs
    return f"{ours[0]:,.0f} samples/s, open_clip {theirs[0]:,.0f}, {wall:.2f}x; by processor time {ours[1]:,.0f} and {theirs[1]:,.0f}, {processor:.2f}x"


def picture(random: np.random.Generator, height: int, width: int) -> bytes:
    """A JPEG with a photograph's spectrum, amplitudes that fall with the frequency, and its quieter colours."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    planes = []
    for contrast, fall in ((50, 1.55), (14, 1.75), (14, 1.75)):
        noise = np.fft.rfft2(random.normal(size=(height, width))) / frequency**fall
        noise[0, 0] = 0
        plane = np.fft.irfft2(noise, (height, width))
        planes.append(128 + contrast * plane / plane.std())
    held, coloured = io.BytesIO(), np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)
    Image.fromarray(coloured, "YCbCr").convert("RGB").save(held, "JPEG", quality=95)
    return held.getvalue()


def make_shard(path: Path) -> None:
    """Write a tar of pictures and captions unless it is there."""
    if path.is_file():
        return
    random = np.random.default_rng(SEED)
    pictures = [picture(random, *SIDES[number % len(SIDES)]) for number in range(DISTINCT_PICTURES)]
    texts = captions(PICTURES, np.full(PICTURES, 4), random)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tars.TarWriter(path.with_suffix(".part")) as writer:
        for number, text in enumerate(texts):
            writer.add(f"{number:08d}.jpg", pictures[number % DISTINCT_PICTURES])
            writer.add(f"{number:08d}.txt", text.encode())
    path.with_suffix(".part").rename(path)


class Peer:
    """open_clip's pipeline from a tar to batches, of its own parts and webdataset's picture decoder."""

    def __init__(self, scale: Scale) -> None:
        pixels = scale.pixels
        self.transform = open_clip.image_transform(
            pixels.size, is_train=True, mean=pixels.mean, std=pixels.std, interpolation=pixels.interpolation, aug_cfg={"scale": pixels.crop_scale}
        )
        self._tokenizer = open_clip.get_tokenizer(scale.model.open_clip_name)
        self._decode = webdataset.imagehandler("pilrgb")

    def decode(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A sample's picture and caption, decoded."""
        return sample | {"jpg": self._decode("jpg", sample["jpg"]), "txt": sample["txt"].decode()}

    def tokens(self, text: str) -> torch.Tensor:
        """Tokens of one caption."""
        return self._tokenizer(text)[0]

    def batches(self, shard: Path, workers: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """What its trainer is handed."""
        parts = [
            webdataset.SimpleShardList([str(shard)]),
            webdataset.tarfile_to_samples(),
            webdataset.shuffle(bufsize=200, initial=100),
            webdataset.select(their_data.filter_no_caption_or_no_image),
            webdataset.map(self.decode),
            webdataset.rename(image="jpg;png;jpeg;webp", text="txt"),
            webdataset.map_dict(image=self.transform, text=self.tokens),
            webdataset.to_tuple("image", "text"),
            webdataset.batched(BATCH_SAMPLES, partial=False),
        ]
        return webdataset.WebLoader(webdataset.DataPipeline(*parts), batch_size=None, shuffle=False, num_workers=workers)


class Ours:
    """Our loader on the same tar."""

    def __init__(self, scale: Scale, shard: Path) -> None:
        self.stream = data.Stream((data.Drawable((shard,), (PICTURES,), 1.0),), scale.sampling, SEED)
        self._loaded = data.Batches(self.stream, scale, SEED, rank=0, rank_batch_samples=BATCH_SAMPLES)

    def batches(self, workers: int) -> Iterator[data.Batch]:
        """What our trainer is handed."""
        return data.load(self._loaded, range(BATCHES), workers=workers)


def check_equal(ours: Ours, peer: Peer, scale: Scale, shard: Path) -> None:
    """Compare a batch of ours with what open_clip's parts make of the same samples and draws, bit for bit."""
    samples = list(tars.read_all(shard))
    batch = next(ours.batches(0))
    found = build.normalise(batch.pixels, scale.pixels)
    for place, (_, number) in enumerate(ours.stream.places(0, BATCH_SAMPLES)):
        sample = peer.decode(samples[number][1])
        torch.manual_seed(int(draws.bits(SEED, "crop", place) >> np.uint64(1)))
        if not torch.equal(peer.transform(sample["jpg"]), found[place]) or not torch.equal(peer.tokens(sample["txt"]), batch.tokens[place]):
            raise RuntimeError(f"sample {number} is not the same on both sides")


def loading(batches: Iterable[Any]) -> Both:
    """Samples/s of a loader, from its second batch on."""
    arrivals = [clock() for _ in batches]
    return (len(arrivals) - 2) * BATCH_SAMPLES / (arrivals[-1] - arrivals[1])


def parts(scale: Scale, shard: Path) -> dict[str, Turn]:
    """Samples/s of decoding alone, and of cropping and resizing alone."""
    pictures = [read["jpg"] for _, read in tars.read_all(shard)][:DISTINCT_PICTURES]
    decoded, crop = [embed.decode(one) for one in pictures], build.training_pixels(scale.pixels)

    def of(function: Callable[[Any], object], over: list[Any]) -> Turn:
        def turn() -> Both:
            start = clock()
            for one in over:
                function(one)
            return len(over) / (clock() - start)

        return turn

    return {"decode": of(embed.decode, pictures), "resize": of(crop, decoded)}


def loader(args: argparse.Namespace) -> None:
    """Our loader and open_clip's pipeline, in this process and in one of their own."""
    local.set_threads(1)
    scale = scales.load("small")
    scale = shortened(scale, BATCHES, BATCH_SAMPLES)
    shard = args.scratch / "pictures.tar"
    make_shard(shard)
    print(f"{PICTURES:,} pictures of {shard.stat().st_size / PICTURES / 1000:.0f} KB", flush=True)
    ours, peer = Ours(scale, shard), Peer(scale)
    check_equal(ours, peer, scale, shard)
    sides: dict[str, Turn] = parts(scale, shard)
    for workers in (0, 1):
        sides[f"ours {workers}"] = lambda workers=workers: loading(ours.batches(workers))
        sides[f"theirs {workers}"] = lambda workers=workers: loading(peer.batches(shard, workers))
    best = fastest(args.turns, sides)
    print(f"loader in this process: {against(best['ours 0'], best['theirs 0'])}")
    mine, other = best["ours 1"][0], best["theirs 1"][0]
    print(f"loader in a process of its own: {mine:,.0f} samples/s, open_clip {other:,.0f}, {mine / other:.2f}x")
    decode, resize = (best["ours 0"][1] / best[part][1] for part in ("decode", "resize"))
    print(f"of our processor time decoding is {decode:.0%}, crop and resize {resize:.0%}, all else {1 - decode - resize:.0%}", flush=True)


def matmul_peak(size: int = 8192, products: int = 20) -> float:
    """FLOP/s of bfloat16 matrix products on the GPU: the best of a few runs."""
    one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    rates = []
    for _ in range(5):
        start = clock("cuda")
        for _ in range(products):
            one @ other
        rates.append(products * 2 * size**3 / (clock("cuda") - start)[0])
    return max(rates)


def step_flops(scale: Scale, samples: int = 2) -> float:
    """FLOPs of forward and backward for a sample, without any that checkpointing does twice."""
    network = build.model(scale.model, image_size=scale.pixels.size, logit_scale_start=scale.loss.logit_scale_start)
    size = scale.pixels.size
    with FlopCounterMode(display=False) as counter:
        features = network(torch.zeros(samples, 3, size, size), torch.zeros(samples, scale.model.text.context_length, dtype=torch.int64))
        (features["image_features"].sum() + features["text_features"].sum()).backward()
    return counter.get_total_flops() / samples


def gpu(args: argparse.Namespace) -> None:
    """Both trainers on a GPU at scale small."""
    if not torch.cuda.is_available():
        print("gpu: no GPU here, so ViT-B/32 was not measured")
        return
    scale = scales.load("small")
    scale = shortened(scale, GPU_STEPS, scale.budget.global_batch_samples)
    batches = open_clip_trainer.drawn_batches(scale, distinct=2)
    pinned = {id(batch.pixels): batch.pixels.pin_memory() for batch in batches[:2]}
    mine = [batch._replace(pixels=pinned[id(batch.pixels)]) for batch in batches]  # as our loader hands them out
    theirs = in_float(scale, batches)
    there = {id(pixels): pixels.to("cuda") for pixels, _ in theirs[:2]}
    resident = [(there[id(pixels)], tokens) for pixels, tokens in theirs]
    sides = {
        "ours": lambda: our_training(scale, "cuda", mine),
        "open_clip as DataComp runs it": lambda: their_training(scale, "cuda", theirs, DATACOMP_FLAGS),
        "the same, its batches on the GPU already": lambda: their_training(scale, "cuda", resident, DATACOMP_FLAGS),
    }
    best = {name: rates[0] for name, rates in fastest(args.turns, sides).items()}
    peak, flops = matmul_peak(), step_flops(scale)
    print(f"{torch.cuda.get_device_name()}: {peak / 1e12:.0f} TFLOP/s of bfloat16 matrix products; {flops / 1e9:.1f} GFLOP a sample")
    for name, found in best.items():
        print(f"{name}: {found:,.0f} samples/s, {found * flops / peak:.0%} of that; ours {best['ours'] / found:.2f}x")


def main() -> None:
    """Print what was measured."""
    measured = {"compute": compute, "loader": loader, "gpu": gpu}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(measured)}; all where none is named")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "datacomp-benchmark-train")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    if unknown := set(args.parts) - measured.keys():
        parser.error(f"{', '.join(sorted(unknown))} came; allowed are {', '.join(measured)}")
    for part in args.parts or measured:
        measured[part](args)


if __name__ == "__main__":
    main()
