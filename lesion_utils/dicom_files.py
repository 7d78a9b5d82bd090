"""One DICOM file at a time: its header without its pixels, and one frame decoded.

Nothing of a header is repeated in an error message: it holds names, dates and numbers of patients.
"""

import io
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.filereader import data_element_generator, read_file_meta_info
from pydicom.pixels import pixel_array
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from .errors import DataError
from .grids import check_size

# What these libraries have to say about a value quotes it.
warnings.filterwarnings("ignore", module=r"pydicom|highdicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
logging.getLogger("highdicom").setLevel(logging.CRITICAL)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

#: All that is read of an image's header; the rest, which holds what is personal, is skipped.
TAGS = """
    SOPClassUID SOPInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality Rows Columns NumberOfFrames SamplesPerPixel
    PhotometricInterpretation BitsAllocated BitsStored PixelRepresentation PixelSpacing ImagerPixelSpacing ImagePositionPatient
    ImageOrientationPatient SpacingBetweenSlices SliceThickness RescaleSlope RescaleIntercept ModalityLUTSequence
    PixelPaddingValue PixelPaddingRangeLimit SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
""".split()


def is_dicom(path):
    """Return whether a file begins as DICOM files do: 128 bytes of anything, then DICM."""
    with Path(path).open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_header(name, path, tags=TAGS, dataset=None):
    """Read a DICOM file's header without its pixels.

    Parameters
    ----------
    name : str
        Starts the error messages.
    path : Path
    tags : list of str or None
        What is kept; None is everything.
    dataset : callable, optional
        Reads the file in place of pydicom's ``dcmread``; takes the path as text.

    Returns
    -------
    pydicom.Dataset

    Raises
    ------
    DataError
        If the file is no DICOM file, cut off within its header, or deflated.
    """
    if not is_dicom(path):
        raise DataError(f"{name} {path} is no DICOM file (it has no DICM at byte 128); export it again as DICOM")
    # pydicom would unpack a deflated file whole, whatever its size; such files are rare.
    with reading(name, path):
        syntax = read_file_meta_info(path).TransferSyntaxUID
    if syntax == DeflatedExplicitVRLittleEndian:
        raise DataError(f"{name} {path} is deflated (transfer syntax {DeflatedExplicitVRLittleEndian.name}); {_DECOMPRESS}")
    with reading(name, path):
        if dataset:
            return dataset(str(path))
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)


#: The library that unpacks each transfer syntax that is read.
_DECODERS = (
    dict.fromkeys([ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian], "")
    | {RLELossless: "pydicom"}
    | dict.fromkeys([JPEGLossless, JPEGLosslessSV1], "gdcm")
    | {JPEGBaseline8Bit: "pillow"}
    | dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls")
    | dict.fromkeys([JPEG2000Lossless, JPEG2000], "pillow")
)
_DECOMPRESS = "decompress it, for instance with gdcmconv --raw or dcmdjpeg"


class reading:
    """Turn any error of a DICOM library inside the block into a DataError that names the file and quotes nothing of it."""

    def __init__(self, name, path):
        self.name, self.path = name, path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None or isinstance(error, DataError) or not isinstance(error, Exception):
            return False
        reason = f"{kind.__name__} in its DICOM structure"
        raise DataError(f"{self.name} {self.path} is cut off or unreadable ({reason}); export or copy it again") from None


def check_whole(name, path):
    """Raise DataError if a file ends within an element: pydicom would read a shorter list of points without a word."""
    with reading(name, path), path.open("rb") as file:
        meta = read_file_meta_info(path)
        file.seek(144 + meta.FileMetaInformationGroupLength)  # preamble, DICM and the element that holds this length
        syntax, size = meta.TransferSyntaxUID, path.stat().st_size
        for element in data_element_generator(file, syntax.is_implicit_VR, syntax.is_little_endian, defer_size=0):
            undefined = getattr(element, "length", 0xFFFFFFFF) == 0xFFFFFFFF
            if not undefined and element.value_tell + element.length > size:
                raise DataError(f"{name} {path} is cut off or unreadable (it ends too early); export or copy it again")


def first(dataset, *path):
    """Return an element below the first items of nested sequences, or None."""
    for name in path:
        value = dataset.get(name) if dataset is not None else None
        if name is not path[-1]:
            value = value[0] if value else None
        dataset = value
    return dataset


def check_decodable(name, path, header):
    """Raise DataError, naming what it is, if a file's pixels are not one grey value each or their coding is not read."""
    samples, colours = int(header.get("SamplesPerPixel") or 1), str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    if samples != 1 or colours not in ("MONOCHROME1", "MONOCHROME2"):
        known = colours if colours.replace("_", "").replace(" ", "").isalnum() and len(colours) <= 16 else "colour"
        raise DataError(f"{name} {path} holds colours ({known}), not one value a pixel; export grey levels")
    if header.get("BitsAllocated") not in (8, 16):
        raise DataError(f"{name} {path} holds pixels of {header.get('BitsAllocated')} bits; export whole numbers of 8 or 16 bits")
    if header.get("ModalityLUTSequence"):
        raise DataError(f"{name} {path} turns its values into HU by a table (Modality LUT); export it with slope and intercept")
    syntax = header.file_meta.TransferSyntaxUID
    if syntax not in _DECODERS:
        known = syntax.name if syntax.name != syntax else "an unknown transfer syntax"
        raise DataError(f"{name} {path} is compressed as {known}, which is not read; {_DECOMPRESS}")
    check_size(name, path, (int(header.Rows), int(header.Columns)), 8)


def decode_frame(name, path, header, index):
    """Return one frame as the file stores it, (rows, columns) of whole numbers.

    Parameters
    ----------
    name, path, header
        As :func:`read_header` took and returned them.
    index : int
        From 0.

    Raises
    ------
    DataError
        As :func:`check_decodable`, and if the frame is cut off, damaged or of another size than the header says.
    """
    with reading(name, path):
        check_decodable(name, path, header)
        shape, syntax = (int(header.Rows), int(header.Columns)), header.file_meta.TransferSyntaxUID
        if _DECODERS[syntax] and syntax != RLELossless:
            data = pydicom.dcmread(path, specific_tags=["PixelData", "NumberOfFrames"])
            frame = get_frame(data.PixelData, index, number_of_frames=int(data.get("NumberOfFrames") or 1))
            size = jpeg_size(frame)
            # Decoders take memory by the compressed picture's own header.
            if size != shape:
                raise DataError(f"{name} {path} is compressed with another size than its header says; export it again")
        decode = _decode_apart if _DECODERS[syntax] == "gdcm" else pixel_array
        values = decode(str(path), index=index, raw=True, decoding_plugin=_DECODERS[syntax])
    if values.shape != shape:
        raise DataError(f"{name} {path} has frames of another size than its header says; export it again")
    return values


#: Python lines that write what pydicom decodes to standard output.
_APART = "import json, sys, numpy, pydicom.pixels as p; numpy.save(sys.stdout.buffer, p.pixel_array(**json.loads(sys.argv[1])))"


def _decode_apart(path, **options):
    """Decode in a process of its own: some damaged JPEG files end the process in which GDCM unpacks them."""
    command = [sys.executable, "-c", _APART, json.dumps({"src": path} | options)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=True)
    return np.load(io.BytesIO(result.stdout), allow_pickle=False)


def jpeg_size(content):
    """Return rows and columns that a JPEG, JPEG-LS or JPEG 2000 picture gives in its own header, or None if there are none."""
    if content[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: start, size
        right, bottom, left, top = (int.from_bytes(content[at : at + 4], "big") for at in (8, 12, 16, 20))
        return bottom - top, right - left
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        # Start of frame: of JPEG C0 to CF but for tables and arithmetic coding (C4, C8, CC), of JPEG-LS F7.
        if marker == 0xF7 or 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return tuple(int.from_bytes(content[place + at : place + at + 2], "big") for at in (5, 7))
        place += 1 if marker == 0xFF else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return None
