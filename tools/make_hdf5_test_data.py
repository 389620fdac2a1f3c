#!/usr/bin/env python3
"""Makes tests/data/io/*.h5: small HDF5 files by h5py and Keras, for the reader in include/kfer/io/hdf5.hpp.

Needs h5py, and for `keras` TensorFlow with Keras 3 and tf_keras (Keras 2). Run from the repository's root:

    python3 tools/make_hdf5_test_data.py h5py      files of h5py
    python3 tools/make_hdf5_test_data.py keras     files of Keras, small models of the same layers as kfer's

Values follow formulas that the tests repeat: element i of a dataset is 0.5 i - 3, of an unsigned one 3 i; of
weight number w of a Keras model, w + i / 65536.
"""
import ctypes
import pathlib
import sys

import h5py
import numpy as np

out = pathlib.Path("tests/data/io")
EARLIEST, LATEST, V108 = ("earliest", "latest"), "latest", ("v108", "v108")


def libhdf5():
    """The library that h5py runs on, for the two properties that h5py does not reach."""
    with open("/proc/self/maps") as maps:
        return ctypes.CDLL(next(line.split()[-1] for line in maps if "/libhdf5" in line and "_hl" not in line))


def ramp(shape, dtype="<f4"):
    i = np.arange(int(np.prod(shape, dtype=int)))
    return (3 * i if np.dtype(dtype).kind == "u" else 0.5 * i - 3).astype(dtype).reshape(shape)


def create(name, libver, sym_k=None, istore_k=None, userblock=0):
    """A new file; `sym_k` and `istore_k` make the nodes of B-trees small, so that few members split them."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    bounds = dict(earliest=h5py.h5f.LIBVER_EARLIEST, latest=h5py.h5f.LIBVER_LATEST, v108=h5py.h5f.LIBVER_V18)
    low, high = (libver, libver) if isinstance(libver, str) else libver
    access.set_libver_bounds(bounds[low], bounds[high])
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)  # no clock: the same library gives the same bytes
    if sym_k:
        assert libhdf5().H5Pset_sym_k(ctypes.c_int64(creation.id), *sym_k) >= 0
    if istore_k:
        assert libhdf5().H5Pset_istore_k(ctypes.c_int64(creation.id), istore_k) >= 0
    if userblock:
        creation.set_userblock(userblock)
    path = out / f"hdf5_{name}.h5"
    return h5py.File(h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access))


def add(group, name, data, **options):
    group.create_dataset(name, data=data, track_times=False, **options)


def group(parent, path):
    """The group at `path`, made with all above it, with no times."""
    properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    for name in path.split("/"):
        h5py.h5g.create(parent.id, name.encode(), gcpl=properties)
        parent = parent[name]
    return parent


def low_level(group, name, data, prepare, maxshape=None):
    """A dataset whose creation properties h5py's own interface does not reach."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    prepare(properties)
    space = h5py.h5s.create_simple(data.shape, maxshape or data.shape)
    dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(data.dtype), space, properties)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, data)


def strings(group):
    group.attrs["variable"] = "tensorflow"
    group.attrs["variable_array"] = np.array(["a", "", "ä b"], dtype=h5py.string_dtype())
    group.attrs["fixed"] = np.bytes_(b"2.5.0")
    group.attrs["fixed_array"] = np.array([b"conv1", b"bn", b"dense_10"])
    group.attrs["none"] = np.array([])
    group.attrs["number"] = 7
    padded = h5py.h5t.C_S1.copy()
    padded.set_size(6)
    padded.set_strpad(h5py.h5t.STR_SPACEPAD)
    h5py.h5a.create(group.id, b"padded", padded, h5py.h5s.create(h5py.h5s.SCALAR)).write(np.array(b"ab cd ", "S6"))
    for i, names in enumerate(([b"k0", b"k1"], [b"k2"], [b"k3", b"k4"])):
        group.attrs[f"split{i}"] = np.array(names)


TYPES = "<f2 >f2 <f4 >f4 <f8 >f8 i1 <i2 >i2 <i4 >i8 u1 <u2 >u4 <u8".split()


def make_h5py():
    with create("old", EARLIEST, sym_k=(2, 1)) as f:  # B-trees of three levels
        strings(f)
        for i in range(20):
            add(f, f"d{i:02}", ramp((i % 3 + 1, 2)))
        types = group(f, "types")
        for i, name in enumerate(TYPES):
            add(types, f"t{i:02}", ramp((2, 3), name))
        deep = group(f, "a/b/c")
        deep.attrs["weight_names"] = np.array([b"kernel:0"])
        add(deep, "kernel:0", ramp((2, 2, 2)))
        add(f, "scalar", np.float32(-3))
        add(f, "empty", ramp((0, 4)))
        low_level(f, "compact", ramp((5,)), lambda p: p.set_layout(h5py.h5d.COMPACT))

    with create("others", EARLIEST) as f:
        add(f, "numbers", ramp((2,)))
        for name, data in dict(text="words", bool=np.array([True]), null=h5py.Empty("f4"), record=np.zeros(1, [("x", "f4")])).items():
            add(f, name, data)
        f["type"] = np.dtype("f4")
        f["soft"] = h5py.SoftLink("/numbers")
        f["external"] = h5py.ExternalLink("other.h5", "/x")

    with create("chunked", EARLIEST, istore_k=2) as f:
        add(f, "plain", ramp((7, 5)), chunks=(2, 2))
        add(f, "deflate", ramp((7, 5)), chunks=(3, 5), compression="gzip")
        add(f, "shuffle", ramp((7, 5), "<f8"), chunks=(7, 3), shuffle=True)
        add(f, "fletcher32", ramp((3, 5), "i1"), chunks=(1, 5), fletcher32=True)
        add(f, "all", ramp((3, 4, 5)), chunks=(2, 3, 2), shuffle=True, compression="gzip", fletcher32=True)
        add(f, "big_endian", ramp((6, 6), ">f4"), chunks=(4, 4), shuffle=True, compression="gzip")
        add(f, "many", ramp((40,)), chunks=(1,), maxshape=(None,))
        add(f, "empty", ramp((0, 4)), chunks=(1, 4), maxshape=(None, 4))

    with create("latest", LATEST) as f:
        strings(f)
        all_filters = dict(shuffle=True, compression="gzip", fletcher32=True)
        add(f, "contiguous", ramp((2, 3)))
        add(f, "single", ramp((4, 5)), chunks=(4, 5))
        add(f, "single_all", ramp((4, 5)), chunks=(4, 5), **all_filters)
        add(f, "fixed", ramp((7, 5)), chunks=(2, 2), maxshape=(9, 9))
        add(f, "fixed_all", ramp((7, 5)), chunks=(2, 2), **all_filters)
        add(f, "btree", ramp((7, 5)), chunks=(2, 2), maxshape=(None, None))
        add(f, "btree_all", ramp((7, 5)), chunks=(2, 2), maxshape=(None, None), **all_filters)

        def implicit(properties):
            properties.set_chunk((2, 2))
            properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)

        low_level(f, "implicit", ramp((7, 5)), implicit)
        dense = group(f, "dense")
        for i in range(60):  # a fractal heap with a table of blocks, a B-tree of two levels
            add(dense, f"a_name_of_some_length_{i:02}", ramp((1,)))
        for i in range(12):
            dense.attrs[f"attribute_{i:02}"] = np.array([b"value %d" % i])
        dense.attrs["large"] = np.array([b"line %04d" % i for i in range(600)])

    with create("paged", LATEST) as f:  # more chunks than a page of the fixed array has entries
        add(f, "paged", ramp((1100,), "u1"), chunks=(1,))
    with create("version2", V108, userblock=512) as f:  # 512 bytes before the superblock
        strings(f)
        add(group(f, "a"), "kernel:0", ramp((4, 3)), chunks=(2, 3), compression="gzip")
    with create("checked", LATEST) as f:  # every byte that is read has a checksum
        f.attrs["backend"] = np.bytes_(b"tensorflow")
        add(group(f, "dense"), "kernel:0", ramp((4, 3)), chunks=(2, 3), fletcher32=True, compression="gzip")
        add(f, "bias:0", ramp((3,), ">f4"), chunks=(3,), fletcher32=True)
    with create("plain", EARLIEST, sym_k=(1, 1)) as f:  # nothing has one
        f.attrs["layer_names"] = np.array([b"dense"])
        add(group(f, "dense"), "kernel:0", ramp((2, 3)))
        add(f, "bias:0", ramp((3,)))

    def refused(name, fill):
        with create("refused_" + name, LATEST) as f:
            fill(f)

    refused("extensible", lambda f: add(f, "x", ramp((4,)), chunks=(2,), maxshape=(None,)))
    refused("lzf", lambda f: add(f, "x", ramp((4,)), chunks=(2,), compression="lzf"))
    refused("unwritten", lambda f: f.create_dataset("x", (4,), "<f4", track_times=False))
    refused("hole", lambda f: f.create_dataset("x", (4,), "<f4", chunks=(2,), track_times=False).__setitem__(0, 1))
    refused("twice", lambda f: (add(f, "x", ramp((4,))), f.__setitem__("y", f["x"])))
    refused("deep", lambda f: group(f, "/".join("g" * 70)))
    refused("cycle", lambda f: group(f, "g").__setitem__("again", f["/"]))


def fill(model):
    """Weight number w in the model's order: element i is w + i / 65536."""
    number = 0
    for layer in model.layers:
        weights = []
        for value in layer.get_weights():
            if value.dtype.kind == "f":
                i = np.arange(value.size, dtype=np.float32)
                value = (number + i / 65536).astype(np.float32).reshape(value.shape)
                number += 1
            weights.append(value)
        layer.set_weights(weights)


def autoencoder(keras):
    x = image = keras.Input((8, 8, 3))
    for _ in range(3):
        x = keras.layers.Conv2D(4, 3, activation="relu", padding="same")(x)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    for filters in (5, 4, 3):
        x = keras.layers.Conv2DTranspose(filters, 3, activation="relu", padding="same")(x)
        x = keras.layers.UpSampling2D(2)(x)
    x = keras.layers.Conv2D(3, 3, activation="sigmoid", padding="same")(x)
    return keras.Model(image, x)


def classifier(keras):
    layers = keras.layers
    return keras.Sequential(
        [autoencoder(keras), layers.Flatten(), layers.Dense(6, "relu"), layers.Dropout(0.5), layers.Dense(6, "softmax")]
    )


def conv_net(keras):
    layers, body = keras.layers, [keras.Input((4, 4, 3))]
    for filters in (5, 4, 2):
        body += [layers.Conv2D(filters, 3, activation="relu", padding="same"), layers.Dropout(0.5)]
    return keras.Sequential([*body, layers.Flatten(), layers.Dense(6, "softmax")])


def make_keras():
    import keras
    import tf_keras

    model = conv_net(tf_keras)
    fill(model)
    model.save_weights(out / "keras2_conv_net.h5", save_format="h5")  # the layout of the published ImageNet weights
    model = classifier(tf_keras)
    fill(model)
    model.save(out / "keras2_autoencoder_classifier.h5")
    model = classifier(keras)
    fill(model)
    model.save_weights(out / "keras3_autoencoder_classifier.weights.h5")


if __name__ == "__main__":
    dict(h5py=make_h5py, keras=make_keras)[sys.argv[1]]()
    for path in sorted(out.glob("*.h5")):
        print(path.name, path.stat().st_size)
