"""DICOM files made of numbers: series, SEG, RTSTRUCT and multi-frame files of one known object, with a planted patient."""

import highdicom
import numpy as np
import SimpleITK as sitk
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset, FileMetaDataset, Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from skimage.measure import find_contours

#: Whatever a header says of a person; no message or summary may repeat any of it.
PERSONAL = {
    "PatientName": "Verylongname^Gwendolyn",
    "PatientID": "MRN-4711-0815",
    "PatientBirthDate": "19510203",
    "StudyDate": "20190817",
    "AccessionNumber": "ACC-99-17",
    "InstitutionName": "Hospital of St. Elsewhere",
    "ReferringPhysicianName": "Houseman^G",
}
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "head first": (1, 0, 0, 0, -1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "oblique": (0.9781476, 0.2079117, 0, -0.2033683, 0.9567727, 0.2079117),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
}


def lesion(shape=(6, 40, 48), seed=0):
    """Return int16 HU and a bool outline: liver with noise, air in front, and a lopsided dark lesion with a hole."""
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    outline = ((z - 2) / 2.3) ** 2 + ((y - 22) / 9) ** 2 + ((x - 20 - 0.3 * (y - 22)) / 7) ** 2 < 1
    outline[2, 20:22, 18:20] = False
    values = np.random.default_rng(seed).normal(100, 12, shape)
    values[outline] -= 60
    values[:, :4] = values[:, :, :2] = -1000
    return np.rint(values).astype(np.int16), outline


def geometry(orientation="axial", shape=(6, 40, 48), spacing=0.8, step=2.5, origin=(-20.0, 31.0, -110.0), shear=(0, 0, 0)):
    """Return orientation, pixel size and the position of every slice, along the normal and ``shear`` mm a slice beside it."""
    axes = np.array(ORIENTATIONS[orientation], float)
    normal = np.cross(axes[:3], axes[3:])
    positions = [np.array(origin) + number * (step * normal + np.array(shear)) for number in range(shape[0])]
    return axes, spacing, positions


def write_nifti(path, voxels, place):
    """Write voxels where :func:`geometry` puts them."""
    axes, spacing, positions = place
    normal = np.cross(axes[:3], axes[3:])
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    image.SetSpacing((spacing, spacing, float(np.linalg.norm(positions[1] - positions[0]))))
    image.SetOrigin(positions[0].tolist())
    image.SetDirection(np.stack([axes[:3], axes[3:], normal], axis=1).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def write_series(folder, hu, place, *, slope=1, intercept=-1024, change=None, names=None, series=None, reference="1.2.3"):
    """Write a CT series, one file a slice in a shuffled order of names and instance numbers; return its datasets.

    ``change`` edits each dataset (number, dataset) before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    axes, spacing, positions = place
    series, study = series or generate_uid(), generate_uid()
    names = names or np.random.default_rng(1).permutation(len(hu))
    datasets = []
    for number, values in enumerate(hu):
        dataset = _dataset(CTImageStorage)
        dataset.update({"Modality": "CT", "SeriesInstanceUID": series, "StudyInstanceUID": study})
        dataset.FrameOfReferenceUID = reference
        dataset.update({"InstanceNumber": int(names[number]) + 1, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]})
        dataset.ImageOrientationPatient = [round(float(value), 7) for value in axes]
        dataset.ImagePositionPatient = [round(float(value), 6) for value in positions[number]]
        dataset.PixelSpacing, dataset.SliceThickness = [spacing, spacing], 2.5
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        _store(dataset, np.rint((values - float(intercept)) / slope), signed=False)
        if change:
            change(number, dataset)
        dataset.save_as(folder / f"{names[number]:03d}.dcm", enforce_file_format=True)
        datasets.append(dataset)
    return datasets


def _dataset(kind):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.update(PERSONAL)
    dataset.update({"PatientSex": "F", "StudyTime": "101500", "StudyID": "1", "SeriesNumber": 1, "Manufacturer": "none"})
    return dataset


def _store(dataset, values, signed):
    dataset.Rows, dataset.Columns = values.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(signed)
    dataset.PixelData = np.ascontiguousarray(values.astype(np.int16 if signed else np.uint16)).tobytes()


def write_multiframe(path, hu, place, order=None):
    """Write one enhanced CT file; ``order`` is the order of its frames, and each frame has an intercept of its own."""
    axes, spacing, positions = place
    order = list(range(len(hu))) if order is None else order
    dataset = _dataset(EnhancedCTImageStorage)
    dataset.update({"Modality": "CT", "SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()})
    dataset.FrameOfReferenceUID, dataset.NumberOfFrames = "1.2.3", len(hu)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing, spacing], 2.5
    plane.ImageOrientationPatient = [round(float(value), 7) for value in axes]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames, stored = [], []
    for number in order:
        groups, position, transformation = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [round(float(value), 6) for value in positions[number]]
        transformation.RescaleSlope, transformation.RescaleIntercept = 1, -1024 - number
        groups.PlanePositionSequence, groups.PixelValueTransformationSequence = [position], [transformation]
        frames.append(groups)
        stored.append(hu[number] + 1024 + number)
    dataset.PerFrameFunctionalGroupsSequence = frames
    _store(dataset, np.stack(stored), signed=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_seg(path, datasets, masks, kind="BINARY"):
    """Write a DICOM SEG with one segment for each (slices, rows, columns) mask, numbered from 1."""
    liver = CodedConcept("10200004", "SCT", "Liver")
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=number + 1,
            segment_label=f"lesion {number + 1}",
            segmented_property_category=CodedConcept("49755003", "SCT", "Morphologically abnormal structure"),
            segmented_property_type=liver,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(len(masks))
    ]
    pixels = np.stack(masks, axis=-1).astype(np.uint8 if kind == "BINARY" else np.float32)
    if kind == "LABELMAP":
        pixels = sum(number * mask.astype(np.uint8) for number, mask in enumerate(masks, start=1))
    highdicom.seg.Segmentation(
        source_images=datasets,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)
    return path


def write_rtstruct(path, masks, place, *, reference="1.2.3", kind="CLOSED_PLANAR", lift=0.0):
    """Write an RTSTRUCT with one region for each named mask: polygons half-way between the pixels inside and outside."""
    axes, spacing, positions = place
    dataset = _dataset(RTStructureSetStorage)
    dataset.update({"Modality": "RTSTRUCT", "SeriesInstanceUID": generate_uid(), "StructureSetLabel": "one"})
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(), Sequence()
    for number, (name, mask) in enumerate(masks.items(), start=1):
        region, contours = Dataset(), Dataset()
        region.update({"ROINumber": number, "ROIName": name, "ReferencedFrameOfReferenceUID": reference})
        contours.ReferencedROINumber, contours.ContourSequence = number, Sequence()
        for plane, position in zip(mask, positions, strict=True):
            for line in find_contours(np.pad(plane, 1).astype(float), 0.5):
                rows, columns = (line - 1).T[:, :, None] * spacing
                points = position + columns * axes[:3] + rows * axes[3:] + lift * np.cross(axes[:3], axes[3:])
                contour = Dataset()
                contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
                contour.ContourData = [f"{value:.4f}" for value in points.ravel()]
                contours.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(region)
        dataset.ROIContourSequence.append(contours)
    dataset.save_as(path, enforce_file_format=True)
    return path
