// SPDX-License-Identifier: Apache-2.0
// hls::stream for C simulation with a plain C++ compiler. Vitis brings its own; this folder must not
// be on its include path. Stages run one after the other here, so a stream holds a whole map,
// and how full it gets says nothing about the depth it needs in hardware.
#pragma once
#include <deque>
#include <stdexcept>
#include <string>

namespace hls {

template <typename T>
class stream {
  public:
    explicit stream(const char *name) : name_(name) {}

    void write(const T &value) { queue_.push_back(value); }

    T read() {
        if (queue_.empty()) throw std::runtime_error("read from empty stream " + name_);
        const T value = queue_.front();
        queue_.pop_front();
        return value;
    }

    bool empty() const { return queue_.empty(); }

  private:
    std::string name_;
    std::deque<T> queue_;
};

}  // namespace hls
