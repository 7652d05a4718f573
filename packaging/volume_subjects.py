"""The table that the bundled prior across slices was trained with: `python packaging/volume_subjects.py IN.csv OUT.csv`.

IN is the table of the training slices, with the columns page, patient and series. OUT has the series of many slices in a
row and how far these lie apart. The slices were thinned before they came here, and the table says their thickness only, so
that the distances are estimates: the nearest multiple of the thickness to what the height of the vertebrae in sagittal cuts
comes to. One patient is left out, to be measured on.
"""

import csv
import sys
from pathlib import Path

LEFT_OUT = "LIDC-IDRI-0001"
DISTANCES = {  # mm, by series
    "5936229543": 3.0, "6999729346": 10.0, "8824805941": 10.0, "9914846513": 5.0, "3297526037": 5.0, "9720603192": 5.0,
    "3149104919": 6.25, "0677418685": 2.0, "1485641315": 5.0, "9945195741": 5.0, "50.1.61373": 1.25, "full": 10.0,
}  # fmt: skip


def main(source: Path, target: Path) -> None:
    """Write the table."""
    with source.open(newline="", encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file) if row["series"] in DISTANCES and row["patient"] != LEFT_OUT
        ]
    with target.open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(["page", "patient", "series", "spacing_mm"])
        for row in rows:
            written.writerow([row["page"], row["patient"], row["series"], f"{DISTANCES[row['series']]:g}"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
