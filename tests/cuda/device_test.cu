#include "cuda/gpu_main.hpp"
// The Cuda device itself: memory, copies, order.
#include <vector>

using namespace kfer;

TEST_CASE("what goes to the device comes back") {
  std::vector<int> from(1000, 7), to(1000);
  const Buffer<Cuda> block(from.size() * sizeof(int));
  Cuda::copy_from_host(block.data(), from.data(), block.bytes());
  Cuda::copy_to_host(to.data(), block.data(), block.bytes());
  CHECK(to == from);
}
