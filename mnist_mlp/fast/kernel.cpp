// Many optimizer steps of a multilayer perceptron in one call. kernel.py compiles this for one optimizer at a time.
//
// Weights are stored in panels of a few vectors of output units; a panel has a row for every input, a row for the bias,
// whose input is always 1, and two for the weights and biases of a normalization. A batch is processed in blocks of
// rows that stay in the cache. A tile of a gradient is still in registers when the optimizer uses it: gradients are
// stored only if a batch has several blocks or the gradient is clipped. Four pixels in five are 0: where a whole side
// of a tile is, its product is skipped, which changes no sum. How threads divide the tiles changes none either, so that
// the results are identical for any number of threads.

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// glibc's vector versions of these functions (libmvec), which GCC uses in loops only if they are declared.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#if __GLIBC_PREREQ(2, 35)
#define VECTORIZED extern "C" __attribute__((simd("notinbranch")))
VECTORIZED float expf(float) noexcept;
VECTORIZED float expm1f(float) noexcept;
VECTORIZED float log1pf(float) noexcept;
VECTORIZED float tanhf(float) noexcept;
VECTORIZED float erff(float) noexcept;
VECTORIZED float logf(float) noexcept;
VECTORIZED float cosf(float) noexcept;
#endif
#endif

// The fields of kernel.py's Task, in the same order.
extern "C" struct Task {
    int64_t layers;
    const int64_t *sizes;       // layers + 1: the pixels, the hidden layers, the digits
    const int64_t *activations; // of the hidden layers, as places in ACTIVATIONS
    float *const *parameters;   // for each layer: weights [outputs, inputs], biases, and its normalization's or null
    float *const *first;        // the optimizer's first and second moments in the same order, null if it has none
    float *const *second;
    float *const *average; // of the parameters, in the same order; null if there is none
    const double *rates;   // the learning rate of each step
    double decay, decoupled_decay, beta_1, beta_2, epsilon; // see Rule
    double average_decay;                                   // the weight of the average before a step
    int64_t averaged_before;                                // the steps that the average is over already
    double steps_before;                                    // the steps that the optimizer has already taken
    double label_smoothing, gradient_clip;                  // gradient_clip: the maximum norm, 0 if there is none
    double dropout, input_dropout, noise;                   // probabilities, and a standard deviation
    int64_t normalization;                                  // of the hidden layers, see Normalization
    double normalization_epsilon, momentum;                 // momentum: the weight of a batch in the running values
    float *const *running;                                  // for each batch normalization, its means and variances
    uint64_t seed;                                          // of the random numbers of an epoch
    int64_t samples_before;                                 // the samples of the epoch before these
    const uint8_t *images;                                  // [records, pixels]
    const int64_t *labels;
    const int64_t *rows; // the samples as indices of records, in order
    int64_t samples, batch, threads;
    double *losses;   // for each step, the sum over its batch
    int64_t *correct; // for each step, the number of correct predictions
};

namespace {

// Floats in a vector; rows and vectors in a tile, whose sums fill the registers.
#if defined(__AVX512F__)
constexpr int WIDTH = 16, ROWS = 6, VECTORS = 4;
#elif defined(__AVX__)
constexpr int WIDTH = 8, ROWS = 6, VECTORS = 2;
#else
constexpr int WIDTH = 4, ROWS = 4, VECTORS = 4;
#endif
constexpr int64_t UNITS = 4;              // inputs in a tile of the backward pass
constexpr int64_t BLOCK = 42 * ROWS;      // rows of a batch that are processed together; the fastest measured
constexpr int64_t WORTH_TRANSPOSING = 48; // rows from which a transposed copy of the weights pays for itself

typedef float Vector __attribute__((vector_size(WIDTH * sizeof(float)), may_alias));

Vector &at(float *floats) { return *reinterpret_cast<Vector *>(floats); }
const Vector &at(const float *floats) { return *reinterpret_cast<const Vector *>(floats); }

int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t padded(int64_t floats) { return quotient_up(floats, WIDTH) * WIDTH; }

struct Free {
    void operator()(float *memory) const { std::free(memory); }
};
using Floats = std::unique_ptr<float[], Free>;

Floats zeros(int64_t count) {
    constexpr size_t LINE = 64; // bytes of a cache line and of the widest vector
    size_t bytes = quotient_up(count * sizeof(float), LINE) * LINE;
    void *memory = std::aligned_alloc(LINE, bytes);
    if (memory == nullptr) throw std::bad_alloc();
    return Floats(static_cast<float *>(std::memset(memory, 0, bytes)));
}

float sum(Vector vector) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps(reinterpret_cast<__m512>(vector));
#else
    float total = 0;
    for (int i = 0; i < WIDTH; ++i) total += vector[i];
    return total;
#endif
}

// value / (sqrt(square) * scale + epsilon)
Vector over_root(Vector value, Vector square, float scale, float epsilon) {
#if defined(__AVX512F__)
    // The division unit computes the root; meanwhile, other units compute the quotient: an estimate and a Newton step.
    Vector divisor = reinterpret_cast<Vector>(_mm512_sqrt_ps(reinterpret_cast<__m512>(square))) * scale + epsilon;
    Vector inverse = reinterpret_cast<Vector>(_mm512_rcp14_ps(reinterpret_cast<__m512>(divisor)));
    inverse += inverse * (1.0f - divisor * inverse);
    return value * inverse;
#else
    Vector root;
    for (int i = 0; i < WIDTH; ++i) root[i] = std::sqrt(square[i]);
    return value / (root * scale + epsilon);
#endif
}

// ---- Activations: they replace y, a pre-activation z, by the activation of z, and slope by its derivative at z. ----

template <class Activation> void activate(float *y, float *slope, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) Activation::at(y[i], slope[i]);
}
using Activate = void (*)(float *, float *, int64_t);

float logistic(float z) { return 1 / (1 + expf(-z)); }
float log_of_1_and_exp(float z) { return z > 20 ? z : log1pf(expf(std::min(z, 20.0f))); } // 20 is torch's threshold

struct ReLU {
    static void at(float &y, float &slope) { slope = y > 0, y = y > 0 ? y : y * 0; }
};
struct Sigmoid {
    static void at(float &y, float &slope) { y = logistic(y), slope = y * (1 - y); }
};
struct Tanh {
    static void at(float &y, float &slope) { y = tanhf(y), slope = 1 - y * y; }
};
struct LeakyReLU {
    static void at(float &y, float &slope) { slope = y > 0 ? 1 : 0.01f, y *= slope; }
};
struct ELU {
    static void at(float &y, float &slope) {
        float below = expm1f(std::min(y, 0.0f));
        slope = y > 0 ? 1 : below + 1, y = y > 0 ? y : below;
    }
};
struct SELU { // Klambauer et al. 2017
    static void at(float &y, float &slope) {
        constexpr float SCALE = 1.0507009873554804934193349852946, ALPHA = 1.6732632423543772848170429916717;
        float below = SCALE * ALPHA * expm1f(std::min(y, 0.0f));
        slope = y > 0 ? SCALE : below + SCALE * ALPHA, y = y > 0 ? SCALE * y : below;
    }
};
struct GELU {
    static void at(float &y, float &slope) {
        constexpr float ROOT_HALF = 0.70710678118654752440, DENSITY_AT_0 = 0.39894228040143267794;
        float z = y, below = 0.5f * (1 + erff(z * ROOT_HALF));
        y = z * below, slope = below + z * DENSITY_AT_0 * expf(-0.5f * z * z);
    }
};
struct SiLU {
    static void at(float &y, float &slope) {
        float z = y, gate = logistic(z);
        y = z * gate, slope = gate * (1 + z * (1 - gate));
    }
};
struct Mish {
    static void at(float &y, float &slope) {
        float z = y, gate = tanhf(log_of_1_and_exp(z));
        y = z * gate, slope = gate + z * logistic(z) * (1 - gate * gate);
    }
};
struct Softplus {
    static void at(float &y, float &slope) { slope = y > 20 ? 1 : logistic(y), y = log_of_1_and_exp(y); }
};
struct Softsign {
    static void at(float &y, float &slope) {
        float divisor = 1 + std::abs(y);
        y /= divisor, slope = 1 / (divisor * divisor);
    }
};
struct Gaussian {
    static void at(float &y, float &slope) {
        float z = y;
        y = expf(-0.5f * z * z), slope = -z * y;
    }
};
struct InvertedGaussian {
    static void at(float &y, float &slope) {
        float z = y;
        y = -expm1f(-0.5f * z * z), slope = z - z * y;
    }
};

template <class... Each> constexpr Activate FUNCTIONS[] = {activate<Each>...};
constexpr auto &ACTIVATE = FUNCTIONS<ACTIVATIONS>; // -DACTIVATIONS=ReLU,Sigmoid,... in the order of activation.py

// ---- Random numbers, for dropout and noise. The seed, the sample, the layer and the unit determine each of them, so
// that threads can draw them in any order. ----

enum class Purpose : uint32_t { DROPOUT, NOISE };

class Random {
  public:
    Random(uint64_t seed, int64_t sample, int64_t layer, Purpose purpose)
        : key_0(seed), key_1(seed >> 32), sample(sample), stream(layer << 1 | uint32_t(purpose)) {}

    // Set `count` factors to 0 with a probability, and to the reciprocal of its rest otherwise. Like `noise`, it may set
    // up to three more.
    void drop(double probability, float *factors, int64_t count) const {
        uint32_t least = probability * 4294967296.0;
        float kept = 1 / (1 - probability);
        draw(count, [=](int64_t first, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
            factors[first] = a < least ? 0 : kept, factors[first + 1] = b < least ? 0 : kept;
            factors[first + 2] = c < least ? 0 : kept, factors[first + 3] = d < least ? 0 : kept;
        });
    }

    // Set `count` values to normally distributed numbers (Box and Muller 1958).
    void noise(float deviation, float *values, int64_t count) const {
        constexpr float UNIT = 1 / 16777216.0f, TURN = 6.283185307179586f; // of the 24 upper bits of a word
        draw(count, [=](int64_t first, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
            values[first] = ((a >> 8) + 1) * UNIT, values[first + 1] = (b >> 8) * UNIT;
            values[first + 2] = ((c >> 8) + 1) * UNIT, values[first + 3] = (d >> 8) * UNIT;
        });
#pragma omp simd
        for (int64_t i = 0; i < count; i += 2) {
            float radius = deviation * std::sqrt(-2 * logf(values[i])), turns = values[i + 1];
            // The sine as a cosine: of both together the compiler would make one function, which it does not vectorize.
            values[i] = radius * cosf(TURN * turns), values[i + 1] = radius * cosf(TURN * (turns - 0.25f));
        }
    }

  private:
    uint32_t key_0, key_1, sample, stream;

    // Call with the first of each four units and with their random words: Philox4x32-10 (Salmon et al. 2011).
    template <class Call> void draw(int64_t count, Call call) const {
#pragma omp simd
        for (int64_t first = 0; first < count; first += 4) {
            uint32_t a = first, b = 0, c = sample, d = stream, k = key_0, l = key_1;
#pragma GCC unroll 10
            for (int round = 0; round < 10; ++round) {
                uint64_t p = uint64_t(0xD2511F53) * a, q = uint64_t(0xCD9E8D57) * c;
                a = uint32_t(q >> 32) ^ b ^ k, b = q, c = uint32_t(p >> 32) ^ d ^ l, d = p;
                k += 0x9E3779B9, l += 0xBB67AE85;
            }
            call(first, a, b, c, d);
        }
    }
};

// ---- Optimizers: they change the weights w by their gradient g and its moments a and b. ----

struct Rule {
    float rate, decay, shrink; // learning rate; weight decay added to the gradient; decoupled, a factor of the weights
    float beta_1, beta_2, epsilon, scale;
    float rest_1, rest_2; // 1 - beta, rounded once: 1 - 0.999f is wrong in the fifth digit
    float renewed;        // the weight of the new weights in their average

    Rule(const Task &task, int64_t step, bool corrects_bias)
        : rate(task.rates[step]), decay(task.decay), shrink(1 - task.rates[step] * task.decoupled_decay),
          beta_1(task.beta_1), beta_2(task.beta_2), epsilon(task.epsilon), scale(1), rest_1(1 - task.beta_1),
          rest_2(1 - task.beta_2), renewed(task.averaged_before + step == 0 ? 1 : 1 - task.average_decay) {
        if (!corrects_bias) return;
        double steps = task.steps_before + step + 1;
        rate = task.rates[step] / (1 - std::pow(task.beta_1, steps));
        scale = 1 / std::sqrt(1 - std::pow(task.beta_2, steps));
    }
};

struct Adam { // Kingma and Ba 2015
    static constexpr bool CORRECTS_BIAS = true;
    static void update(const Rule &rule, Vector g, Vector &w, Vector &a, Vector &b) {
        a += rule.rest_1 * (g - a);
        b = rule.beta_2 * b + rule.rest_2 * g * g;
        w -= rule.rate * over_root(a, b, rule.scale, rule.epsilon);
    }
};
struct SGD {
    static constexpr bool CORRECTS_BIAS = false;
    static void update(const Rule &rule, Vector g, Vector &w, Vector &, Vector &) { w -= rule.rate * g; }
};
struct Momentum {
    static constexpr bool CORRECTS_BIAS = false;
    static void update(const Rule &rule, Vector g, Vector &w, Vector &a, Vector &) {
        a = rule.beta_1 * a + g;
        w -= rule.rate * a;
    }
};
struct RMSprop { // Tieleman and Hinton 2012
    static constexpr bool CORRECTS_BIAS = false;
    static void update(const Rule &rule, Vector g, Vector &w, Vector &a, Vector &) {
        a = rule.beta_2 * a + rule.rest_2 * g * g;
        w -= rule.rate * over_root(g, a, 1, rule.epsilon);
    }
};
template <class Undecayed> struct Decayed : Undecayed { // decoupled: Loshchilov and Hutter 2019
    static void update(const Rule &rule, Vector g, Vector &w, Vector &a, Vector &b) {
        g += rule.decay * w;
        w *= rule.shrink;
        Undecayed::update(rule, g, w, a, b);
    }
};

using Optimizer = OPTIMIZER; // -DOPTIMIZER=Adam or -DOPTIMIZER=Decayed<Adam>

// ---- Layers and the tiles of their matrix products, M rows by N vectors ----

struct Places { // the indices that a sum is over
    const int32_t *place;
    int64_t count;
};

struct Panel {
    int64_t column, width; // its first column and its width, in floats
};

enum Normalization { NONE, BATCH, LAYER }; // over the samples of a batch, or over the units of a layer

struct Layer {
    int64_t inputs, outputs;
    bool normalizes;
    int64_t height;    // the rows of a panel
    Activate activate; // null for the logits
    std::vector<Panel> panels;
    Floats weights, first, second;
    Floats average;              // only if the weights are averaged
    Floats gradient;             // only if a batch has several blocks, gradients are clipped, or there is normalization
    Floats gathered;             // for each tile of inputs: its values in the rows where not all of them are 0
    Floats transposed;           // only if it is worth it: the weights without the bias, in panels of the layer below
    int64_t stride;              // between the rows of the following three, which have a row for each sample
    Floats output, slope, delta; // output ends with the next layer's bias input; delta is the derivative of the loss
    Floats kept, noise;          // only with dropout or noise: the factors of the outputs, what is added before
    Floats normalized, inverse;  // only with normalization: its values, 1 / the deviations of the units or the samples
    std::vector<int32_t> lit_rows;    // for each tile of inputs: the rows in `gathered`
    std::vector<int64_t> lit_rows_of; // how many there are for each tile

    Layer(const Task &task, int64_t l, int64_t rows, bool keeps_gradient)
        : inputs(task.sizes[l]), outputs(task.sizes[l + 1]),
          normalizes(task.normalization != NONE && l + 1 < task.layers), height(inputs + (normalizes ? 3 : 1)),
          activate(l + 1 < task.layers ? ACTIVATE[task.activations[l]] : nullptr), stride(padded(outputs + 1)) {
        int64_t vectors = quotient_up(outputs, WIDTH), count = quotient_up(vectors, VECTORS);
        for (int64_t panel = 0; panel < count; ++panel) {
            int64_t begin = vectors * panel / count, end = vectors * (panel + 1) / count;
            panels.push_back({begin * WIDTH, (end - begin) * WIDTH});
        }
        int64_t size = (height - 1 + UNITS) * padded(outputs); // the backward pass reads whole tiles
        weights = zeros(size), first = zeros(size), second = zeros(size);
        if (task.average != nullptr) average = zeros(size);
        if (keeps_gradient || normalizes) gradient = zeros(size);
        lit_rows_of.resize(quotient_up(inputs + 1, ROWS));
        lit_rows.resize(lit_rows_of.size() * rows), gathered = zeros(lit_rows.size() * ROWS);
        if (normalizes) normalized = zeros(rows * stride), inverse = zeros(std::max(rows, stride));
        if (rows >= WORTH_TRANSPOSING) transposed = zeros(outputs * padded(inputs));
        output = zeros(rows * stride + ROWS), slope = zeros(rows * stride), delta = zeros(rows * stride);
        if (activate != nullptr && task.dropout > 0) kept = zeros(rows * stride);
        if (activate != nullptr && task.noise > 0) noise = zeros(rows * stride);
    }

    // The offset of the weights from an input to a panel.
    int64_t place(const Panel &panel, int64_t input) const { return height * panel.column + input * panel.width; }
};

// output[m, n] = sum over k of input[m, k] weights[k, n]
template <int M, int N>
__attribute__((noinline)) void forward_tile(const float *input, int64_t stride, const float *weights, Places inputs,
                                            float *output, int64_t output_stride) {
    Vector sums[M][N] = {};
    for (int64_t i = 0; i < inputs.count; ++i) {
        int64_t k = inputs.place[i];
        if (M == 1 && input[k] == 0) continue; // as about half of the ReLUs are
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
            for (int n = 0; n < N; ++n) sums[m][n] += input[m * stride + k] * at(weights + (k * N + n) * WIDTH);
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) at(output + m * output_stride + n * WIDTH) = sums[m][n];
}

// delta[m, k] = slope[m, k] sum over n of layer.delta[m, n] weights[k, n], for the layer below
template <int M>
__attribute__((noinline)) void backward_tile(const Layer &layer, int64_t row, int64_t unit, float *delta,
                                             const float *slope, int64_t stride) {
    Vector sums[M][UNITS] = {};
    for (const Panel &panel : layer.panels) {
        const float *weights = layer.weights.get() + layer.place(panel, unit);
        const float *above = layer.delta.get() + row * layer.stride + panel.column;
        for (int64_t n = 0; n < panel.width; n += WIDTH)
#pragma GCC unroll 8
            for (int k = 0; k < UNITS; ++k)
#pragma GCC unroll 8
                for (int m = 0; m < M; ++m)
                    sums[m][k] += at(above + m * layer.stride + n) * at(weights + k * panel.width + n);
    }
    int64_t count = std::min(UNITS, layer.inputs - unit);
    for (int m = 0; m < M; ++m)
        for (int64_t k = 0; k < count; ++k) {
            int64_t place = (row + m) * stride + unit + k;
            delta[place] = slope[place] * sum(sums[m][k]);
        }
}

struct Weights {
    float *weights, *first, *second, *average, *gradient;

    Weights(const Layer &layer, int64_t place)
        : weights(layer.weights.get() + place), first(layer.first.get() + place), second(layer.second.get() + place),
          average(layer.average ? layer.average.get() + place : nullptr),
          gradient(layer.gradient ? layer.gradient.get() + place : nullptr) {}

    void update(const Rule &rule, Vector g, int64_t i) const {
        Optimizer::update(rule, g, at(weights + i), at(first + i), at(second + i));
    }

    // Update `count` weights by a multiple of the stored gradient.
    void update_by_gradient(const Rule &rule, float factor, int64_t count) const {
        for (int64_t i = 0; i < count; i += WIDTH) update(rule, factor * at(gradient + i), i);
        renew_average(rule, count);
    }

    // Average `count` weights with those before.
    void renew_average(const Rule &rule, int64_t count) const {
        for (int64_t i = 0; average != nullptr && i < count; i += WIDTH) {
            Vector &mean = at(average + i), &now = at(weights + i);
            mean = rule.renewed == 1 ? now : mean + rule.renewed * (now - mean);
        }
    }
};

// gradient[m, n] = sum over rows of input[row, m] delta[row, n], of which `input` has only these rows. Unless this block
// begins the batch, it is added to the gradient of the blocks before; if it ends the batch, the optimizer uses the sum.
template <int M, int N>
__attribute__((noinline)) void gradient_tile(const Rule &rule, const float *input, const float *delta, Places rows,
                                             const Layer &layer, int64_t place, bool begins, bool ends) {
    Weights of(layer, place);
    Vector sums[M][N] = {};
    for (int64_t i = 0; i < rows.count; ++i) {
        const float *in = input + i * ROWS, *out = delta + rows.place[i] * N * WIDTH;
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
            for (int n = 0; n < N; ++n) sums[m][n] += in[m] * at(out + n * WIDTH);
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
            int64_t i = (m * N + n) * WIDTH;
            if (!begins) sums[m][n] += at(of.gradient + i);
            if (ends)
                of.update(rule, sums[m][n], i);
            else
                at(of.gradient + i) = sums[m][n];
        }
    if (ends) of.renew_average(rule, M * N * WIDTH);
}

using ForwardTile = void (*)(const float *, int64_t, const float *, Places, float *, int64_t);
using BackwardTile = void (*)(const Layer &, int64_t, int64_t, float *, const float *, int64_t);
using GradientTile = void (*)(const Rule &, const float *, const float *, Places, const Layer &, int64_t, bool, bool);

template <int M, size_t... N> constexpr auto forward_tiles(std::index_sequence<N...>) {
    return std::array<ForwardTile, VECTORS>{forward_tile<M, N + 1>...};
}
template <int M, size_t... N> constexpr auto gradient_tiles(std::index_sequence<N...>) {
    return std::array<GradientTile, VECTORS>{gradient_tile<M, N + 1>...};
}
template <size_t... M> constexpr auto tiles(std::index_sequence<M...>) {
    constexpr auto VECTOR_NUMBERS = std::make_index_sequence<VECTORS>();
    return std::tuple{std::array{forward_tiles<M + 1>(VECTOR_NUMBERS)...},
                      std::array<BackwardTile, ROWS>{backward_tile<M + 1>...},
                      std::array{gradient_tiles<M + 1>(VECTOR_NUMBERS)...}};
}
constexpr auto TILES = tiles(std::make_index_sequence<ROWS>()); // indexed by rows - 1, then by vectors - 1

// ---- Threads ----

class Barrier {
  public:
    explicit Barrier(int64_t threads) : threads(threads) {}

    void wait() {
        int64_t now = round.load(std::memory_order_acquire);
        if (waiting.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
            waiting.store(0, std::memory_order_relaxed);
            round.store(now + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round.load(std::memory_order_acquire) == now; ++spins)
            if (spins > 10'000) std::this_thread::yield(); // another thread may be waiting for a core
    }

  private:
    int64_t threads;
    alignas(128) std::atomic<int64_t> waiting{0}; // each on its own cache line
    alignas(128) std::atomic<int64_t> round{0};
};

struct FlushDenormals { // the moments of pixels that are rarely lit decay to denormal numbers, which are slow
#if defined(__x86_64__)
    unsigned before = _mm_getcsr();
    FlushDenormals() { _mm_setcsr(before | 0x8040); } // flush to zero, denormals are zeros
    ~FlushDenormals() { _mm_setcsr(before); }
#endif
};

struct Share {
    int64_t begin, end;
};

struct Training {
    const Task task;
    const int64_t top, pixels, pixel_stride, block;
    std::vector<Layer> layers;
    Floats pixel_rows;
    std::vector<int32_t> all;           // 0, 1, 2, ..., for sums over all places
    std::vector<int32_t> lit_pixels;    // for each tile of rows: the pixels that are not 0 in all of them, and the bias
    std::vector<int64_t> lit_pixels_of; // how many there are for each tile
    std::vector<Floats> columns;        // for each thread: the deltas of a panel, one row after the other
    std::vector<double> losses;         // for each tile of rows of a batch
    std::vector<int64_t> correct;
    std::vector<std::vector<double>> squares; // for each layer and input: the sum of its weights' squared gradients
    Barrier barrier;
    int64_t steps_done = 0;

    explicit Training(const Task &task)
        : task(task), top(task.layers - 1), pixels(task.sizes[0]), pixel_stride(padded(pixels + 1)),
          block(task.normalization == BATCH ? task.batch : std::min(BLOCK, task.batch)), barrier(task.threads) {
        for (int64_t l = 0; l <= top; ++l)
            layers.emplace_back(task, l, block, block < task.batch || task.gradient_clip > 0);
        pixel_rows = zeros(block * pixel_stride + ROWS);
        for (int64_t row = 0; row < block; ++row) pixel_rows[row * pixel_stride + pixels] = 1;
        int64_t tiles = quotient_up(task.batch, block) * quotient_up(block, ROWS);
        losses.resize(tiles), correct.resize(tiles);
        for (const Layer &layer : layers) squares.emplace_back(layer.height);
        all.resize(std::max(block, *std::max_element(task.sizes, task.sizes + task.layers) + 1));
        std::iota(all.begin(), all.end(), 0);
        lit_pixels_of.resize(quotient_up(block, ROWS)), lit_pixels.resize(lit_pixels_of.size() * (pixels + 1));
        for (int64_t thread = 0; thread < task.threads; ++thread) columns.push_back(zeros(block * VECTORS * WIDTH));
    }

    float *input_of(int64_t l) { return l == 0 ? pixel_rows.get() : layers[l - 1].output.get(); }
    int64_t input_stride_of(int64_t l) const { return l == 0 ? pixel_stride : layers[l - 1].stride; }

    Share share(int64_t thread, int64_t count) const {
        return {count * thread / task.threads, count * (thread + 1) / task.threads};
    }

    // Call with each panel and the thread's share of its tiles, each of which costs time proportional to its width.
    template <class Call> void share_panels(int64_t thread, const Layer &layer, int64_t tiles, Call call) const {
        Share all = share(thread, tiles * padded(layer.outputs));
        for (const Panel &panel : layer.panels) {
            auto tile = [&](int64_t place) {
                int64_t nearest = (place - tiles * panel.column + panel.width / 2) / panel.width;
                return std::clamp(nearest, int64_t(0), tiles);
            };
            Share mine{tile(all.begin), tile(all.end)};
            if (mine.begin < mine.end) call(panel, mine);
        }
    }

    // Call with every value outside and its counterpart inside.
    template <class Call> void pair(int64_t thread, int64_t l, float *const *outside, Floats &inside, Call call) {
        if (outside == nullptr) return;
        const Layer &layer = layers[l];
        float *const *arrays = outside + 4 * l; // [outputs, inputs], and three of [outputs]
        Share rows = share(thread, layer.height);
        for (const Panel &panel : layer.panels)
            for (int64_t row = rows.begin; row < rows.end; ++row) {
                bool weighs = row < layer.inputs;
                int64_t step = weighs ? layer.inputs : 1;
                float *values = (weighs ? arrays[0] + row : arrays[row - layer.inputs + 1]) + panel.column * step;
                float *here = inside.get() + layer.place(panel, row);
                for (int64_t i = 0; i < std::min(panel.width, layer.outputs - panel.column); ++i)
                    call(values[i * step], here[i]);
            }
    }
    template <class Call> void pair_all(int64_t thread, Call call) {
        for (int64_t l = 0; l <= top; ++l) {
            pair(thread, l, task.parameters, layers[l].weights, call);
            pair(thread, l, task.first, layers[l].first, call);
            pair(thread, l, task.second, layers[l].second, call);
            pair(thread, l, task.average, layers[l].average, call);
        }
    }

    void transpose(int64_t thread, int64_t l) {
        Layer &layer = layers[l];
        Share inputs = share(thread, layer.inputs);
        for (const Panel &below : layers[l - 1].panels)
            for (const Panel &panel : layer.panels) {
                int64_t begin = std::max(below.column, inputs.begin);
                int64_t end = std::min(below.column + below.width, inputs.end);
                for (int64_t input = begin; input < end; ++input) {
                    const float *from = layer.weights.get() + layer.place(panel, input);
                    float *to = layer.transposed.get() + layer.outputs * below.column + panel.column * below.width +
                                input - below.column;
                    for (int64_t i = 0; i < std::min(panel.width, layer.outputs - panel.column); ++i)
                        to[i * below.width] = from[i];
                }
            }
    }

    // For a thread's share of the rows, load the pixels as fractions, list those that are lit, and draw random numbers.
    void load(int64_t thread, const int64_t *samples, int64_t rows) {
        Share mine = share(thread, quotient_up(rows, ROWS));
        std::vector<uint8_t> any(pixels);
        std::vector<float> drawn(pixels + 3);
        for (int64_t tile = mine.begin; tile < mine.end; ++tile) {
            std::fill(any.begin(), any.end(), 0);
            for (int64_t row = tile * ROWS; row < std::min((tile + 1) * ROWS, rows); ++row) {
                const uint8_t *image = task.images + samples[row] * pixels;
                float *target = pixel_rows.get() + row * pixel_stride;
                for (int64_t i = 0; i < pixels; ++i) target[i] = image[i] / 255.0f, any[i] |= image[i];
                int64_t sample = task.samples_before + (samples - task.rows) + row;
                if (task.input_dropout > 0) {
                    Random(task.seed, sample, 0, Purpose::DROPOUT).drop(task.input_dropout, drawn.data(), pixels);
                    for (int64_t i = 0; i < pixels; ++i) target[i] *= drawn[i];
                }
                if (task.noise > 0) {
                    Random(task.seed, sample, 0, Purpose::NOISE).noise(task.noise, drawn.data(), pixels);
                    for (int64_t i = 0; i < pixels; ++i) target[i] += drawn[i];
                    std::fill(any.begin(), any.end(), 1);
                }
                for (int64_t l = 0; l < top; ++l) {
                    Layer &layer = layers[l];
                    int64_t place = row * layer.stride;
                    if (task.dropout > 0)
                        Random(task.seed, sample, l + 1, Purpose::DROPOUT)
                            .drop(task.dropout, layer.kept.get() + place, layer.outputs);
                    if (task.noise > 0)
                        Random(task.seed, sample, l + 1, Purpose::NOISE)
                            .noise(task.noise, layer.noise.get() + place, layer.outputs);
                }
            }
            int32_t *lit = lit_pixels.data() + tile * (pixels + 1);
            int64_t number = 0;
            for (int64_t i = 0; i < pixels; ++i) lit[number] = i, number += any[i] != 0;
            lit[number++] = pixels;
            lit_pixels_of[tile] = number;
        }
    }

    // For a thread's share of the tiles of inputs, gather what is far apart, one row after the other: the values in those
    // rows in which not all are 0. The last tile may reach into the next row, whose values are not used.
    void gather_lit_rows(int64_t thread, int64_t l, int64_t rows) {
        Layer &layer = layers[l];
        Share mine = share(thread, layer.lit_rows_of.size());
        for (int64_t tile = mine.begin; tile < mine.end; ++tile) {
            int32_t *lit = layer.lit_rows.data() + tile * block;
            float *gathered = layer.gathered.get() + tile * block * ROWS;
            const float *input = input_of(l) + tile * ROWS;
            int64_t number = 0;
            for (int64_t row = 0; row < rows; ++row, input += input_stride_of(l)) {
                uint64_t pairs[ROWS / 2], any = 0; // of floats
                std::memcpy(pairs, input, sizeof pairs);
                for (uint64_t pair : pairs) any |= pair;
                std::memcpy(gathered + number * ROWS, pairs, sizeof pairs);
                lit[number] = row, number += (any & 0x7fffffff'7fffffff) != 0; // without the signs
            }
            layer.lit_rows_of[tile] = number;
        }
    }

    void forward(int64_t l, const Panel &panel, Share tiles, int64_t rows) {
        Layer &layer = layers[l];
        int64_t units = std::min(panel.width, layer.outputs - panel.column);
        for (int64_t row = tiles.begin * ROWS; row < std::min(tiles.end * ROWS, rows); row += ROWS) {
            int64_t count = std::min<int64_t>(ROWS, rows - row);
            Places inputs{all.data(), layer.inputs + 1};
            if (l == 0) inputs = {lit_pixels.data() + row / ROWS * (pixels + 1), lit_pixels_of[row / ROWS]};
            std::get<0>(TILES)[count - 1][panel.width / WIDTH - 1](
                input_of(l) + row * input_stride_of(l), input_stride_of(l), layer.weights.get() + layer.place(panel, 0),
                inputs, layer.output.get() + row * layer.stride + panel.column, layer.stride);
            for (int64_t r = row; layer.activate != nullptr && !layer.normalizes && r < row + count; ++r)
                activate(layer, r, panel.column, units);
        }
    }

    // Add noise to the pre-activations of a row's units, activate them, and drop some; set the next layer's bias input.
    void activate(Layer &layer, int64_t row, int64_t unit, int64_t units) {
        int64_t place = row * layer.stride + unit;
        float *output = layer.output.get() + place, *slope = layer.slope.get() + place;
        for (int64_t i = 0; layer.noise && i < units; ++i) output[i] += layer.noise[place + i];
        layer.activate(output, slope, units);
        for (int64_t i = 0; layer.kept && i < units; ++i)
            output[i] *= layer.kept[place + i], slope[i] *= layer.kept[place + i];
        if (unit + units == layer.outputs) output[units] = 1;
    }

    // The vectors of a layer's units that are a thread's, each with the offset of its normalization's weights and the
    // distance to the biases.
    template <class Call> void share_vectors(int64_t thread, const Layer &layer, Call call) const {
        Share vectors = share(thread, padded(layer.outputs) / WIDTH);
        for (const Panel &panel : layer.panels)
            for (int64_t i = 0; i < panel.width; i += WIDTH) {
                int64_t unit = panel.column + i;
                if (vectors.begin * WIDTH <= unit && unit < vectors.end * WIDTH)
                    call(unit, layer.place(panel, layer.inputs + 1) + i, panel.width);
            }
    }

    // Normalize the pre-activations of a layer (Ioffe and Szegedy 2015, Ba et al. 2016), and activate them.
    void normalize(int64_t thread, int64_t l, int64_t rows) {
        Layer &layer = layers[l];
        Share mine = share(thread, rows);
        float epsilon = task.normalization_epsilon;
        if (task.normalization == BATCH) {
            share_vectors(thread, layer, [&](int64_t unit, int64_t, int64_t) {
                Vector mean = {}, variance = {};
                for (int64_t r = 0; r < rows; ++r) mean += at(layer.output.get() + r * layer.stride + unit);
                mean /= float(rows);
                for (int64_t r = 0; r < rows; ++r) {
                    Vector from_mean = at(layer.output.get() + r * layer.stride + unit) - mean;
                    variance += from_mean * from_mean;
                }
                variance /= float(rows);
                for (int i = 0; i < WIDTH; ++i) layer.inverse[unit + i] = 1 / std::sqrt(variance[i] + epsilon);
                for (int64_t r = 0; r < rows; ++r)
                    at(layer.normalized.get() + r * layer.stride + unit) =
                        (at(layer.output.get() + r * layer.stride + unit) - mean) * at(layer.inverse.get() + unit);
                float share = task.momentum, unbiased = rows / (rows - 1.0f);
                for (int64_t i = 0; i < std::min<int64_t>(WIDTH, layer.outputs - unit); ++i) {
                    float &running_mean = task.running[2 * l][unit + i];
                    float &running_variance = task.running[2 * l + 1][unit + i];
                    running_mean += share * (mean[i] - running_mean);
                    running_variance += share * (unbiased * variance[i] - running_variance);
                }
            });
            barrier.wait();
        } else {
            for (int64_t r = mine.begin; r < mine.end; ++r) {
                const float *z = layer.output.get() + r * layer.stride;
                float mean = 0, variance = 0;
#pragma omp simd reduction(+ : mean)
                for (int64_t i = 0; i < layer.outputs; ++i) mean += z[i];
                mean /= layer.outputs;
#pragma omp simd reduction(+ : variance)
                for (int64_t i = 0; i < layer.outputs; ++i) variance += (z[i] - mean) * (z[i] - mean);
                layer.inverse[r] = 1 / std::sqrt(variance / layer.outputs + epsilon);
                for (int64_t i = 0; i < layer.outputs; ++i)
                    layer.normalized[r * layer.stride + i] = (z[i] - mean) * layer.inverse[r];
            }
        }
        for (const Panel &panel : layer.panels)
            for (int64_t r = mine.begin; r < mine.end; ++r)
                for (int64_t i = 0; i < panel.width; i += WIDTH) {
                    const float *scale = layer.weights.get() + layer.place(panel, layer.inputs + 1) + i;
                    int64_t place = r * layer.stride + panel.column + i;
                    at(layer.output.get() + place) =
                        at(scale) * at(layer.normalized.get() + place) + at(scale + panel.width);
                }
        for (int64_t r = mine.begin; r < mine.end; ++r) activate(layer, r, 0, layer.outputs);
        barrier.wait();
    }

    // From the derivatives with respect to the normalized and scaled values, compute the gradients of a normalization's
    // weights and biases, and the derivatives with respect to the values before.
    void normalize_backward(int64_t thread, int64_t l, int64_t rows, bool begins) {
        Layer &layer = layers[l];
        share_vectors(thread, layer, [&](int64_t unit, int64_t place, int64_t to_biases) {
            Vector of_scale = {}, of_shift = {}, scale = at(layer.weights.get() + place);
            for (int64_t r = 0; r < rows; ++r) {
                Vector delta = at(layer.delta.get() + r * layer.stride + unit);
                of_shift += delta, of_scale += delta * at(layer.normalized.get() + r * layer.stride + unit);
            }
            Vector &sum_of_scale = at(layer.gradient.get() + place);
            Vector &sum_of_shift = at(layer.gradient.get() + place + to_biases);
            sum_of_scale = begins ? of_scale : sum_of_scale + of_scale;
            sum_of_shift = begins ? of_shift : sum_of_shift + of_shift;
            if (task.normalization != BATCH) return;
            of_scale /= float(rows), of_shift /= float(rows);
            Vector factor = scale * at(layer.inverse.get() + unit);
            for (int64_t r = 0; r < rows; ++r) {
                int64_t here = r * layer.stride + unit;
                Vector &delta = at(layer.delta.get() + here);
                delta = factor * (delta - of_shift - at(layer.normalized.get() + here) * of_scale);
            }
        });
        barrier.wait();
        if (task.normalization == BATCH) return;
        Share mine = share(thread, rows);
        std::vector<float> scale(layer.outputs);
        for (const Panel &panel : layer.panels)
            for (int64_t i = 0; i < std::min(panel.width, layer.outputs - panel.column); ++i)
                scale[panel.column + i] = layer.weights[layer.place(panel, layer.inputs + 1) + i];
        for (int64_t r = mine.begin; r < mine.end; ++r) {
            float *delta = layer.delta.get() + r * layer.stride, mean = 0, product = 0;
            const float *normalized = layer.normalized.get() + r * layer.stride;
#pragma omp simd reduction(+ : mean, product)
            for (int64_t i = 0; i < layer.outputs; ++i) {
                delta[i] *= scale[i];
                mean += delta[i], product += delta[i] * normalized[i];
            }
            mean /= layer.outputs, product /= layer.outputs;
            for (int64_t i = 0; i < layer.outputs; ++i)
                delta[i] = layer.inverse[r] * (delta[i] - mean - normalized[i] * product);
        }
        barrier.wait();
    }

    // For some rows: the loss, the correct predictions, and the derivative of the loss with respect to the logits.
    void score(int64_t row, int64_t rows, const int64_t *samples, int64_t batch, int64_t tile) {
        Layer &layer = layers[top];
        losses[tile] = 0, correct[tile] = 0;
        for (int64_t r = row; r < row + rows; ++r) {
            const float *z = layer.output.get() + r * layer.stride;
            float *delta = layer.delta.get() + r * layer.stride;
            int64_t label = task.labels[samples[r]], guess = std::max_element(z, z + layer.outputs) - z;
            float total = 0;
            for (int64_t i = 0; i < layer.outputs; ++i) total += delta[i] = expf(z[i] - z[guess]);
            float off = task.label_smoothing / layer.outputs, on = 1 - task.label_smoothing + off;
            for (int64_t i = 0; i < layer.outputs; ++i) delta[i] = (delta[i] / total - (i == label ? on : off)) / batch;
            losses[tile] += std::log(total) + z[guess] - z[label];
            if (task.label_smoothing > 0) {
                double mean = std::accumulate(z, z + layer.outputs, 0.0) / layer.outputs;
                losses[tile] += task.label_smoothing * (z[label] - mean);
            }
            correct[tile] += guess == label;
        }
    }

    // Compute the delta of the layer below, for some rows and tiles of units.
    void backward(int64_t l, int64_t row, int64_t rows, Share units) {
        Layer &layer = layers[l], &below = layers[l - 1];
        for (int64_t r = row; r < row + rows; r += ROWS)
            for (int64_t unit = units.begin * UNITS; unit < std::min(units.end * UNITS, layer.inputs); unit += UNITS)
                std::get<1>(TILES)[std::min<int64_t>(ROWS, row + rows - r) - 1](layer, r, unit, below.delta.get(),
                                                                                below.slope.get(), below.stride);
    }

    void backward_by_transposed(int64_t l, int64_t row, int64_t rows) {
        Layer &layer = layers[l], &below = layers[l - 1];
        for (const Panel &panel : below.panels)
            for (int64_t r = row; r < row + rows; r += ROWS) {
                int64_t count = std::min<int64_t>(ROWS, row + rows - r), place = r * below.stride + panel.column;
                std::get<0>(TILES)[count - 1][panel.width / WIDTH - 1](
                    layer.delta.get() + r * layer.stride, layer.stride,
                    layer.transposed.get() + layer.outputs * panel.column, {all.data(), layer.outputs},
                    below.delta.get() + place, below.stride);
                for (int64_t i = place; i < place + count * below.stride; i += below.stride)
                    for (int64_t k = i; k < i + panel.width; ++k) below.delta[k] *= below.slope[k];
            }
    }

    void update(int64_t thread, const Rule &rule, int64_t rows, bool begins, bool ends) {
        for (int64_t l = 0; l <= top; ++l) {
            Layer &layer = layers[l];
            int64_t inputs = layer.inputs + 1;
            if (layer.normalizes && ends)
                share_vectors(thread, layer, [&](int64_t, int64_t place, int64_t to_biases) {
                    for (int64_t from : {place, place + to_biases})
                        Weights(layer, from).update_by_gradient(rule, 1, WIDTH);
                });
            share_panels(thread, layer, quotient_up(inputs, ROWS), [&](const Panel &panel, Share tiles) {
                float *column = columns[thread].get();
                const float *delta = layer.delta.get() + panel.column;
                for (int64_t row = 0; row < rows; ++row)
                    std::copy_n(delta + row * layer.stride, panel.width, column + row * panel.width);
                for (int64_t input = tiles.begin * ROWS; input < std::min(tiles.end * ROWS, inputs); input += ROWS) {
                    int64_t tile = input / ROWS, count = std::min<int64_t>(ROWS, inputs - input);
                    std::get<2>(TILES)[count - 1][panel.width / WIDTH - 1](
                        rule, layer.gathered.get() + tile * block * ROWS, column,
                        {layer.lit_rows.data() + tile * block, layer.lit_rows_of[tile]}, layer,
                        layer.place(panel, input), begins, ends);
                }
            });
        }
    }

    // Update the weights by the whole gradient of a batch, scaled so that its norm is at most the maximum (Pascanu et
    // al. 2013).
    void update_clipped(int64_t thread, const Rule &rule) {
        for (int64_t l = 0; l <= top; ++l) {
            const Layer &layer = layers[l];
            Share inputs = share(thread, layer.height);
            for (int64_t input = inputs.begin; input < inputs.end; ++input) {
                double total = 0;
                for (const Panel &panel : layer.panels) {
                    const float *gradient = layer.gradient.get() + layer.place(panel, input);
                    for (int64_t i = 0; i < panel.width; ++i) total += gradient[i] * gradient[i];
                }
                squares[l][input] = total;
            }
        }
        barrier.wait();
        double square = 0;
        for (const std::vector<double> &of_a_layer : squares)
            square = std::accumulate(of_a_layer.begin(), of_a_layer.end(), square);
        float factor = std::min(1.0, task.gradient_clip / (std::sqrt(square) + 1e-6)); // as torch has it
        for (int64_t l = 0; l <= top; ++l) {
            const Layer &layer = layers[l];
            Share inputs = share(thread, layer.height);
            for (const Panel &panel : layer.panels)
                for (int64_t input = inputs.begin; input < inputs.end; ++input)
                    Weights(layer, layer.place(panel, input)).update_by_gradient(rule, factor, panel.width);
        }
        barrier.wait();
    }

    // Process a block of a batch: `rows` of its `samples`, the first of which is the batch's sample `from`. Returns the
    // number of its tiles of rows.
    int64_t pass(int64_t thread, const Rule &rule, const int64_t *samples, int64_t rows, int64_t from, int64_t batch,
                 int64_t tiles_before) {
        int64_t tiles = quotient_up(rows, ROWS);
        load(thread, samples, rows);
        for (int64_t l = 1; l <= top && from == 0; ++l)
            if (layers[l].transposed) transpose(thread, l);
        barrier.wait();
        for (int64_t l = 0; l < top; ++l) {
            share_panels(thread, layers[l], tiles,
                         [&](const Panel &panel, Share mine) { forward(l, panel, mine, rows); });
            barrier.wait();
            if (layers[l].normalizes) normalize(thread, l, rows);
        }
        for (int64_t l = 0; l <= top; ++l) gather_lit_rows(thread, l, rows);
        Share mine = share(thread, tiles);
        for (int64_t tile = mine.begin; tile < mine.end; ++tile) {
            int64_t row = tile * ROWS, count = std::min<int64_t>(ROWS, rows - row);
            for (const Panel &panel : layers[top].panels) forward(top, panel, {tile, tile + 1}, rows);
            score(row, count, samples, batch, tiles_before + tile);
            if (top == 0) continue;
            if (layers[top].transposed)
                backward_by_transposed(top, row, count);
            else
                backward(top, row, count, {0, quotient_up(layers[top].inputs, UNITS)});
        }
        barrier.wait();
        for (int64_t l = top - 1; l >= 0; --l) {
            if (layers[l].normalizes) normalize_backward(thread, l, rows, from == 0);
            if (l == 0) break;
            int64_t begin = mine.begin * ROWS, count = std::min(mine.end * ROWS, rows) - begin;
            if (layers[l].transposed)
                backward_by_transposed(l, begin, count);
            else
                backward(l, 0, rows, share(thread, quotient_up(layers[l].inputs, UNITS)));
            barrier.wait();
        }
        bool clips = task.gradient_clip > 0, ends = from + rows == batch;
        update(thread, rule, rows, from == 0, ends && !clips);
        barrier.wait();
        if (clips && ends) update_clipped(thread, rule);
        return tiles;
    }

    void work(int64_t thread) {
        FlushDenormals flush;
        pair_all(thread, [](float &outside, float &inside) { inside = outside; });
        barrier.wait();
        int64_t steps = quotient_up(task.samples, task.batch), step = 0;
        for (bool finite = true; finite && step < steps; ++step) {
            Rule rule(task, step, Optimizer::CORRECTS_BIAS);
            int64_t begin = step * task.batch, batch = std::min(task.batch, task.samples - begin), tiles = 0;
            for (int64_t from = 0; from < batch; from += block)
                tiles +=
                    pass(thread, rule, task.rows + begin + from, std::min(block, batch - from), from, batch, tiles);
            double loss = 0;
            int64_t right = 0;
            for (int64_t tile = 0; tile < tiles; ++tile) loss += losses[tile], right += correct[tile];
            finite = std::isfinite(loss);
            if (thread == 0) task.losses[step] = loss, task.correct[step] = right;
        }
        pair_all(thread, [](float &outside, float &inside) { outside = inside; });
        if (thread == 0) steps_done = step;
    }
};

} // namespace

// Take the optimizer steps and return their number: fewer than there are batches if a loss is not finite, -1 if the
// memory is not enough.
extern "C" int64_t train(const Task *task) try {
    Training training(*task);
    std::vector<std::thread> others;
    for (int64_t thread = 1; thread < task->threads; ++thread) others.emplace_back(&Training::work, &training, thread);
    training.work(0);
    for (std::thread &other : others) other.join();
    return training.steps_done;
} catch (const std::bad_alloc &) {
    return -1;
}

// The instruction set that this was compiled for: the last digits of the results depend on it.
extern "C" const char *instructions() {
#if defined(__AVX512F__)
    return "AVX512";
#elif defined(__AVX2__)
    return "AVX2";
#elif defined(__AVX__)
    return "AVX";
#elif defined(__x86_64__)
    return "SSE2";
#elif defined(__ARM_NEON)
    return "NEON";
#else
    return "DEFAULT";
#endif
}
