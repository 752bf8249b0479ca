// SPDX-License-Identifier: Apache-2.0
// Test bench.   csim [FOLDER]          check every step against FOLDER/tb/golden; exit 1 on a difference
//               csim FOLDER IN OUT     run the images of file IN, write the results to file OUT
// Without FOLDER all files are expected in the working directory, where Vitis puts test bench files.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "memory.hpp"
#include "top.hpp"

typedef std::vector<char> bytes_t;

static bytes_t read_file(const std::string &path) {
    std::ifstream file(path.c_str(), std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    return bytes_t((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

template <typename T>
static std::vector<T> read_values(const std::string &path) {
    const bytes_t bytes = read_file(path);
    if (bytes.empty() || bytes.size() % sizeof(T) != 0) {
        throw std::runtime_error(path + " has a wrong size");
    }
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

struct bench_t {
    std::vector<int32_t> program;
    std::vector<uint64_t> weights;
    std::vector<step_t> steps;
    std::vector<word_t> maps;
};

static std::size_t words_in(const step_t &s) {
    return std::size_t(s.height) * std::size_t(s.width) * std::size_t(s.in_blocks);
}

static std::size_t words_out(const step_t &s) {
    return std::size_t(s.height) * std::size_t(s.width) * std::size_t(s.out_blocks);
}

static bench_t load(const std::string &folder) {
    bench_t bench;
    bench.program = read_values<int32_t>(folder + "program.bin");
    bench.weights = read_values<uint64_t>(folder + "weights.bin");
    if (bench.program.size() % STEP_WORDS != 0) throw std::runtime_error("program.bin has a torn step");
    std::size_t words = 0;
    for (std::size_t n = 0; n < bench.program.size() / STEP_WORDS; ++n) {
        const step_t s = read_step(bench.program.data(), int(n));
        bench.steps.push_back(s);
        words = std::max(words, std::size_t(s.source) + words_in(s));
        words = std::max(words, std::size_t(s.sink) + words_out(s));
    }
    bench.maps.resize(words);
    return bench;
}

// Run the engine on image `index` of `images`. Feature memory starts with a value no map should keep.
static void run(bench_t &bench, const bytes_t &images, std::size_t index) {
    for (std::size_t i = 0; i < bench.maps.size(); ++i) {
        for (int k = 0; k < LANES; ++k) bench.maps[i].at[k] = act_t(85);
    }
    const step_t &first = bench.steps.front();
    const std::size_t words = words_in(first);
    for (std::size_t i = 0; i < words; ++i) {
        for (int k = 0; k < LANES; ++k) {
            const std::size_t at = (index * words + i) * LANES + std::size_t(k);
            bench.maps[std::size_t(first.source) + i].at[k] = act_t(images[at]);
        }
    }
    tinytailor_engine(bench.program.data(), bench.weights.data(), bench.maps.data(),
                      bench.maps.data(), int(bench.steps.size()));
}

static std::size_t image_count(const bench_t &bench, const bytes_t &images) {
    const std::size_t size = words_in(bench.steps.front()) * LANES;
    if (images.empty() || images.size() % size != 0) {
        throw std::runtime_error("the input file is not a whole number of images");
    }
    return images.size() / size;
}

static std::string golden_name(const bench_t &bench, std::size_t step) {
    if (step + 1 == bench.steps.size()) return "out.bin";
    char name[32];
    std::snprintf(name, sizeof name, "layer%02u.bin", unsigned(step));
    return name;
}

// Count the values of one step that differ from its golden file; describe the first.
static long compare(const bench_t &bench, std::size_t step, const bytes_t &golden,
                    std::size_t image) {
    const step_t &s = bench.steps[step];
    long wrong = 0;
    for (std::size_t i = 0; i < words_out(s); ++i) {
        for (int k = 0; k < LANES; ++k) {
            const int got = int(bench.maps[std::size_t(s.sink) + i].at[k]);
            const int expected =
                int(int8_t(golden[(image * words_out(s) + i) * LANES + std::size_t(k)]));
            if (got == expected) continue;
            if (wrong++ == 0) {
                const int pixel = int(i) / s.out_blocks;
                std::printf("image %d step %d row %d column %d channel %d: got %d, expected %d\n",
                            int(image), int(step), pixel / s.width, pixel % s.width,
                            int(i) % s.out_blocks * LANES + k, got, expected);
            }
        }
    }
    return wrong;
}

static int check(bench_t &bench, const std::string &folder) {
    const bytes_t images = read_file(folder + "in.bin");
    const std::size_t count = image_count(bench, images);
    std::vector<bytes_t> golden;
    for (std::size_t step = 0; step < bench.steps.size(); ++step) {
        golden.push_back(read_file(folder + golden_name(bench, step)));
        if (golden.back().size() != count * words_out(bench.steps[step]) * LANES) {
            throw std::runtime_error(golden_name(bench, step) + " does not fit the program");
        }
    }
    long wrong = 0, values = 0;
    for (std::size_t image = 0; image < count; ++image) {
        run(bench, images, image);
        for (std::size_t step = 0; step < bench.steps.size(); ++step) {
            wrong += compare(bench, step, golden[step], image);
            values += long(words_out(bench.steps[step]) * LANES);
        }
    }
    std::printf("%s: %ld of %ld values differ, %d images, %d steps\n", wrong ? "FAIL" : "PASS",
                wrong, values, int(count), int(bench.steps.size()));
    std::printf("iterations: load %lld read %lld pointwise %lld offset %lld deform %lld write %lld\n",
                iterations.load, iterations.read, iterations.pointwise, iterations.offset,
                iterations.deform, iterations.write);
    return wrong ? 1 : 0;
}

static int run_files(bench_t &bench, const char *input, const char *output) {
    const bytes_t images = read_file(input);
    std::ofstream file(output, std::ios::binary);
    const step_t &last = bench.steps.back();
    for (std::size_t image = 0; image < image_count(bench, images); ++image) {
        run(bench, images, image);
        for (std::size_t i = 0; i < words_out(last); ++i) {
            for (int k = 0; k < LANES; ++k) {
                file.put(char(int(bench.maps[std::size_t(last.sink) + i].at[k])));
            }
        }
    }
    file.close();
    if (!file) throw std::runtime_error(std::string("cannot write ") + output);
    return 0;
}

int main(int argc, char **argv) {
    try {
        const std::string folder = argc > 1 ? std::string(argv[1]) + "/" : std::string();
        bench_t bench = load(argc > 1 ? folder + "hls/weights/" : folder);
        if (argc == 4) return run_files(bench, argv[2], argv[3]);
        return check(bench, argc > 1 ? folder + "tb/golden/" : folder);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "csim: %s\n", error.what());
        return 2;
    }
}
