// What of the experiments is the same on every device.
#include "kdrama/experiment.hpp"

#include "kfer/device/with_device.hpp"

namespace kdrama {

using namespace kfer;

Result run(const Options& options, const std::string& resume_command) {
  return with_device(options.device.device, [&]<class D>(D) { return run_on<D>(options, resume_command); });
}

PretrainResult pretrain(const PretrainOptions& options, const std::string& resume_command) {
  return with_device(options.device.device,
                     [&]<class D>(D) { return pretrain_on<D>(options, resume_command); });
}

}  // namespace kdrama
