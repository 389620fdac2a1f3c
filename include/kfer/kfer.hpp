// kfer: tensors, differentiation, layers, models and optimisers. Data sets, file formats beyond weights, and
// the training loop's tools are included by name: kfer/data/..., kfer/io/..., kfer/train/...; xtensor's side
// of a tensor is in kfer/tensor/host.hpp.
#pragma once

#include "kfer/core/config.hpp"
#include "kfer/core/dtype.hpp"
#include "kfer/core/error.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/core/random.hpp"
#include "kfer/core/shape.hpp"
#include "kfer/fwd.hpp"

#include "kfer/device/cpu.hpp"
#if defined(__CUDACC__)
#include "kfer/device/cuda.hpp"
#endif
#include "kfer/device/with_device.hpp"

#include "kfer/tensor/compare.hpp"
#include "kfer/tensor/create.hpp"
#include "kfer/tensor/print.hpp"
#include "kfer/tensor/relayout.hpp"
#include "kfer/tensor/tensor.hpp"
#include "kfer/tensor/transfer.hpp"

#include "kfer/autograd/backward.hpp"
#include "kfer/autograd/gradcheck.hpp"
#include "kfer/autograd/no_grad.hpp"
#include "kfer/autograd/variable.hpp"

#include "kfer/ops/ops.hpp"

#include "kfer/nn/nn.hpp"
#include "kfer/optim/optim.hpp"

#include "kfer/models/autoencoder.hpp"
#include "kfer/models/conv_net.hpp"
#include "kfer/models/resnet.hpp"
#include "kfer/models/resnet18.hpp"
