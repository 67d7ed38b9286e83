"""The options of the commands, in one place: type, name and help of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated as An

from typer import Argument, Option

Gallery = An[Path, Argument(metavar="GALLERY", help="Folder of the gallery.", show_default=False)]
AsJson = An[bool, Option("--json", help="Print JSON for machines.")]

# what to index, and how to cut it
Sources = An[
    list[str],
    Argument(
        metavar="SOURCE...",
        help="Rasters: a file, a folder, a glob, a STAC JSON file, or a text file of paths.",
        show_default=False,
    ),
]
Encoder = An[str | None, Option(help="Name or folder of the encoder; landsift-lite for a new gallery.")]
Tile = An[int | None, Option(help="Side of a tile in pixels; 256 unless the gallery says otherwise.")]
Overlap = An[float | None, Option(help="Share of a tile that its neighbour repeats; 0.25 by default.")]
Scales = An[
    str | None,
    Option(metavar="1,2", help="Window sizes in tiles; 1,2 finds both a plane and an airport."),
]
Views = An[
    int | None,
    Option(help="Views of each tile: 1, or 5, 10, 17 with its 2x2, 3x3, 4x4 crops, for small things."),
]
Gsd = An[float | None, Option(metavar="M", help="Resample to this ground sampling distance in metres.")]
Bands = An[
    str | None,
    Option(metavar="R,G,B", help="Band numbers to show as red, green, blue; guessed otherwise."),
]
Crs = An[str | None, Option(help="Coordinate system of rasters that name none, such as EPSG:32633.")]
Workers = An[int | None, Option(min=1, help="Reader threads; one per core otherwise.")]
RetryFailed = An[bool, Option("--retry-failed", help="Try scenes again that failed before.")]
IndexKind = An[
    str | None,
    Option("--index", metavar="KIND", help="Search index: auto, flat, hamming, cascade or ann."),
]
RecallFloor = An[
    float | None, Option("--recall", metavar="R", help="Least measured recall of a quick way; 0.99 at first.")
]
CodeBits = An[int | None, Option("--bits", help="Length of the sign codes; 128 at first.")]

# what to look for, and where
Text = An[str | None, Argument(metavar="[TEXT]", help="What to look for, in words.", show_default=False)]
Like = An[
    list[str] | None,
    Option("--like", metavar="TILE_ID|IMAGE", help="Also find what looks like this; repeatable."),
]
Unlike = An[list[str] | None, Option("--not", metavar="TEXT|IMAGE", help="Away from this; repeatable.")]
K = An[int, Option("-k", help="How many matches.")]
Box = An[
    str | None,
    Option(
        "--bbox",
        metavar="W,S,E,N",
        help="Only tiles that touch this box, in degrees; W > E crosses the antimeridian.",
    ),
]
After = An[str | None, Option("--after", metavar="DATE", help="Only scenes of this date or later.")]
Before = An[str | None, Option("--before", metavar="DATE", help="Only scenes of this date or earlier.")]
SceneGlob = An[
    str | None, Option("--scene", metavar="GLOB", help="Only scenes with this name, id or pattern.")
]
MinScore = An[float | None, Option(metavar="S", help="Leave out matches that score less.")]
NearPlace = An[
    str | None,
    Option("--near", metavar="LON,LAT", help="Prefer tiles that lie somewhere like this place."),
]
NearWeight = An[
    float | None, Option("--near-weight", metavar="W", help="How much --near counts; 0.1 by default.")
]
NearEncoder = An[
    str | None,
    Option(metavar="NAME|FILE", help="Location encoder of --near: geoclip, or a SatCLIP or CSP file."),
]
Explain = An[bool, Option("--explain", help="Say which way was taken, and what each stage cost.")]
LessCrowded = An[bool, Option("--csls", help="Put tiles that are near to every query further back.")]
Judge = An[
    str | None,
    Option("--judge", metavar="FOLDER", help="A trained scorer of pairs that orders the best 70 matches."),
]
PoolBy = An[
    str | None,
    Option("--pool", metavar="max|top-M|lse", help="Score a place by all its tiles and views."),
]
RefineTop = An[
    int | None,
    Option("--refine", metavar="K", help="Read the best K tiles again and look at their crops."),
]
Zoom = An[
    str | None,
    Option(metavar="2,4", help="How closely --refine looks: crops a side, 2 to 4; 2 by default."),
]
Overlapping = An[
    str,
    Option(metavar="keep|merge", help="Every overlapping tile, or the best one of a place."),
]

# what to write
GeoJson = An[Path | None, Option("--geojson", metavar="F", help="Write the matches as GeoJSON.")]
Gpkg = An[Path | None, Option("--gpkg", metavar="F", help="Write the matches as a GeoPackage.")]
Parquet = An[Path | None, Option("--parquet", metavar="F", help="Write the matches as GeoParquet.")]
Csv = An[Path | None, Option("--csv", metavar="F", help="Write the matches as CSV.")]
Sheet = An[Path | None, Option("--sheet", metavar="PNG", help="Draw the matches into a picture.")]

# looking after a gallery
ListScenes = An[bool, Option("--scenes", help="List every scene with its state.")]
SceneNames = An[
    list[str] | None,
    Argument(metavar="[SCENE]...", help="Names, ids or globs of scenes.", show_default=False),
]
Missing = An[bool, Option("--missing", help="Remove scenes whose file is gone.")]
GalleryOrEncoder = An[
    Path,
    Argument(
        metavar="GALLERY|ENCODER",
        help="Folder of the gallery; with --onnx, name or folder of an encoder.",
        show_default=False,
    ),
]
ExportFile = An[
    Path | None,
    Argument(metavar="[FILE]", help="Ends with .geojson, .gpkg, .parquet or .csv.", show_default=False),
]
OnnxFolder = An[
    Path | None,
    Option("--onnx", metavar="DIR", help="Export an encoder into this new folder, to run without torch."),
]
Fp16 = An[bool, Option("--fp16", help="With --onnx: weights as 16-bit floats, half the bytes.")]
Int8 = An[bool, Option("--int8", help="With --onnx: weights as 8-bit integers, about a quarter.")]
CheckExport = An[bool, Option("--check", help="With --onnx: compare the two on pictures and words.")]
CheckImages = An[
    Path | None,
    Option("--images", metavar="DIR", help="Pictures for --check; the sample scenes otherwise."),
]
Vectors = An[bool, Option("--vectors", help="Also the embeddings (GeoParquet only).")]
DemoFolder = An[Path, Argument(metavar="[FOLDER]", help="Where the demo writes.")]

# what to score, and how
EncoderName = An[str, Argument(metavar="ENCODER", help="Name or folder of the encoder.", show_default=False)]
DatasetName = An[
    str, Argument(metavar="DATASET", help="Name of the set; see list datasets.", show_default=False)
]
DatasetOrFolder = An[
    str,
    Argument(
        metavar="DATASET",
        help="Name of a set, a folder of class folders, or a CSV/JSONL of your own captions.",
        show_default=False,
    ),
]
Root = An[
    Path | None,
    Option(metavar="DIR", help="Folder of the set; otherwise the folders of LANDSIFT_DATA are looked at."),
]
Split = An[str | None, Option(help="Split to score; test where there is one.")]
Task = An[
    str | None, Option(metavar="retrieval|zero-shot|hashing|selo", help="Retrieval where there are captions.")
]
CoderName = An[
    str | None,
    Option(
        metavar="own|sign|lsh|pca-sign|itq|pq", help="Bits of the vectors themselves, or fitted; hashing."
    ),
]
Bits = An[int | None, Option(metavar="N", min=1, help="Length of fitted codes (128); hashing.")]
CaptionStyle = An[
    str, Option("--captions", metavar="STYLE", help="raw, capitalised, prefixed or first-30-words.")
]
TemplateFamily = An[str, Option("--templates", metavar="NAME", help="Sentences of the classes; zero-shot.")]
TemplateAverage = An[
    str | None, Option("--average", metavar="normalised|raw", help="How template vectors are joined.")
]
Rerank = An[
    str | None,
    Option(metavar="NAME", help="Also re-ranked: csls, dual-softmax, query-bank, reciprocal, multivariate."),
]
BankSplit = An[
    str | None,
    Option(metavar="SPLIT", help="Re-rank against this split's queries instead of the other test queries."),
]
Exclude = An[
    Path | None, Option(metavar="F", help="Leave out the images of a list by datasets overlap --write.")
]
RunFile = An[
    Path | None, Option("--trec", metavar="F", help="Write TREC run and qrels files: F.run, F.qrels.")
]
ClipBenchmarkFile = An[
    Path | None, Option("--clip-benchmark", metavar="F", help="Write the recalls as CLIP_benchmark does.")
]
Semantic = An[
    bool, Option("--semantic", help="Also mAP@R, nDCG, and how consistent answers are; takes longer.")
]
Robustness = An[
    bool, Option("--robustness", help="Score it on spoilt pictures and captions, in five severities.")
]
SpoiltSide = An[
    str | None,
    Option("--on", metavar="gallery|query|both", help="Which spoilt side is judged (both); robustness."),
]
Corruptions = An[
    str | None,
    Option("--corruptions", metavar="A,B", help="Some corruptions or families of the suite; robustness."),
]
Severities = An[
    str | None, Option("--severities", metavar="1,2,3,4,5", help="Some of the severities; robustness.")
]
Chance = An[int | None, Option("--seed", metavar="N", min=0, help="Of what is drawn (0); robustness.")]
Cost = An[bool, Option("--cost", help="Measure parameters, operations, times, memory and bytes instead.")]
Partial = An[bool, Option("--partial", help="Score a set whose copy is short, and say so in its name.")]
Markdown = An[bool, Option("--markdown", help="Print Markdown.")]
JsonFile = An[Path | None, Option("--json", metavar="F", help="Write the report as JSON.")]
PlotFile = An[Path | None, Option("--plot", metavar="F", help="Draw the scores; needs the extra [plot].")]
Results = An[
    list[Path] | None,
    Option("--results", metavar="DIR", help="Folders with our reports; benchmarks/results by default."),
]
OtherDataset = An[str, Argument(metavar="OTHER", help="Set it is compared with.", show_default=False)]
OtherRoot = An[Path | None, Option("--other-root", metavar="DIR", help="Folder of the other set.")]
OtherSplit = An[str, Option("--other-split", help="Split of the other set, such as train.")]
CaptionsOnly = An[bool, Option("--captions-only", help="Do not compare pictures.")]
Write = An[Path | None, Option("--write", metavar="F", help="Write the list of images to leave out.")]
