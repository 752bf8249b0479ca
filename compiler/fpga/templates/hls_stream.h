// SPDX-License-Identifier: Apache-2.0
// hls::stream for C simulation with a plain C++ compiler. Vitis brings its own; this folder must not
// be on its include path. Stages run one after the other here, so a stream holds a whole map.
#pragma once
#include <cstddef>
#include <deque>
#include <stdexcept>
#include <string>

namespace hls {

template <typename T>
class stream {
  public:
    explicit stream(const char *name) : name_(name) {}

    void write(const T &value) {
        queue_.push_back(value);
        if (queue_.size() > high_water_) high_water_ = queue_.size();
    }

    T read() {
        if (queue_.empty()) throw std::runtime_error("read from empty stream " + name_);
        const T value = queue_.front();
        queue_.pop_front();
        return value;
    }

    bool empty() const { return queue_.empty(); }
    std::size_t size() const { return queue_.size(); }
    std::size_t high_water() const { return high_water_; }
    const std::string &name() const { return name_; }

  private:
    std::string name_;
    std::deque<T> queue_;
    std::size_t high_water_ = 0;
};

}  // namespace hls
