//! Eigenvectors of a small symmetric matrix.

/// Sweeps after which the rotations have long converged (they do so quadratically, in 6 to 10).
const SWEEPS_MAX: usize = 30;

/// Eigenvalues, largest first, each with its unit eigenvector, of the symmetric `n` x `n` matrix given row
/// after row: cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5).
pub(super) fn symmetric(matrix: &[f64], n: usize) -> Vec<(f64, Vec<f64>)> {
    let mut m: Vec<Vec<f64>> = matrix.chunks_exact(n.max(1)).map(<[f64]>::to_vec).collect();
    // The rows of `vectors` are the eigenvectors.
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| unit(n, i)).collect();
    for _ in 0..SWEEPS_MAX {
        let rotated = (0..n)
            .flat_map(|p| (p + 1..n).map(move |q| (p, q)))
            .filter(|&(p, q)| rotate(&mut m, &mut vectors, p, q))
            .count();
        if rotated == 0 {
            break;
        }
    }
    let mut pairs: Vec<(f64, Vec<f64>)> =
        vectors.into_iter().enumerate().map(|(i, v)| (at(&m, i, i), v)).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs
}

fn unit(n: usize, i: usize) -> Vec<f64> {
    (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()
}

fn at(m: &[Vec<f64>], i: usize, j: usize) -> f64 {
    m.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0.0)
}

/// Turns axes `p` and `q` so that the entry between them vanishes; false when it already has.
fn rotate(m: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) -> bool {
    let (pp, qq, pq) = (at(m, p, p), at(m, q, q), at(m, p, q));
    if pq.abs() <= f64::EPSILON * (pp.abs() * qq.abs()).sqrt() || pq.abs() < f64::MIN_POSITIVE {
        return false;
    }
    let theta = (qq - pp) / (2.0 * pq);
    let tan = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = tan * cos;
    for row in m.iter_mut() {
        turn_entries(row, p, q, cos, sin);
    }
    turn_rows(m, p, q, cos, sin);
    turn_rows(vectors, p, q, cos, sin);
    true
}

fn turn_entries(row: &mut [f64], p: usize, q: usize, cos: f64, sin: f64) {
    if let Ok([a, b]) = row.get_disjoint_mut([p, q]) {
        (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
    }
}

fn turn_rows(rows: &mut [Vec<f64>], p: usize, q: usize, cos: f64, sin: f64) {
    if let Ok([a, b]) = rows.get_disjoint_mut([p, q]) {
        for (a, b) in a.iter_mut().zip(b) {
            (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
        }
    }
}
