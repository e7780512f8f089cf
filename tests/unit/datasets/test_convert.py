"""Public data sets become tables that a ranker trains on; the files here have the real sets' columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fathom.datasets.convert import TASK, convert
from fathom.datasets.formats import FORMATS
from fathom.errors import InvalidInputError
from fathom.ranking import interactions, split
from fathom.ranking.prepare import prepare
from fathom_api.tasks import TrainTask

ROWS = 400
CRITEO = [f"I{n}" for n in range(1, 14)] + [f"C{n}" for n in range(1, 27)]
AVAZU = [f"feat_{n}" for n in range(1, 23)]
HEADERS = {
    "criteo": ",".join(["label", *CRITEO]),
    "avazu": ",".join(["label", *AVAZU]),
    "kuaivideo": "timestamp,user_id,item_id,is_click,is_like,is_follow,pos_items,neg_items",
    "microvideo": "user_id,item_id,cate_id,timestamp,is_click,clicked_items,clicked_categories",
    "amazon-electronics": "label,user_id,item_id,cate_id,item_history,cate_history",
}


def row(i: int) -> dict[str, Any]:
    """Return a value for each column that any of the sets has."""
    liked = i % 3 % 2
    return {
        "timestamp": 1_000 + i,
        "user_id": i % 20,
        "item_id": i % 31,
        "cate_id": i % 31 % 4,
        **dict.fromkeys(("is_click", "label"), liked),
        **dict.fromkeys(("is_like", "is_follow"), 0),
        **dict.fromkeys(("pos_items", "neg_items", "clicked_items", "item_history"), "3^5^7"),
        **dict.fromkeys(("clicked_categories", "cate_history"), "1^2"),
        # Numbers are within 0 and 1 there; Avazu's ids are written as numbers with a point.
        **dict.fromkeys(CRITEO[:13], f"{i % 7 / 7:.6f}"),
        **dict.fromkeys(CRITEO[13:], 1000 + i % 5),
        **dict.fromkeys(AVAZU, f"{i % 5}.0"),
    }


def write_csv(folder: Path, name: str) -> Path:
    columns = HEADERS[name].split(",")
    files = {"train.csv": range(ROWS // 2), "test.csv": range(ROWS // 2, ROWS)}
    if "validation" in FORMATS[name].parts:
        half = ROWS // 2
        files |= {"train.csv": range(half - 50), "valid.csv": range(half - 50, half)}
    for file, numbers in files.items():
        lines = [",".join(str(row(i)[c]) for c in columns) for i in numbers]
        (folder / file).write_text("\n".join([HEADERS[name], *lines]) + "\n")
    return folder


def write_movielens(folder: Path) -> Path:
    events = [f"{i % 20}\t{i % 31}\t{1 + i % 5}.0\t{1000 + i}" for i in range(ROWS)]
    users = [f"{i}\t{20 + i}\tF\twriter\t12345" for i in range(20)]
    items = [f'{i}\t"A" film\t199{i % 9}\tAction Drama' for i in range(31)]
    files = {
        "inter": ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *events],
        "user": ["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token", *users],
        "item": ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq", *items],
    }
    for end, lines in files.items():
        (folder / f"ml-100k.{end}").write_text("\n".join(lines) + "\n")
    return folder


def write_microlens(folder: Path) -> Path:
    for file, numbers in {"train": range(300), "valid": range(300, ROWS)}.items():
        table = {
            "user_id": [i % 20 for i in numbers],
            "item_seq": [[1, 2, 3]] * len(numbers),
            "item_id": [i % 31 for i in numbers],
            "likes_level": [i % 31 % 10 for i in numbers],
            "views_level": [i % 31 % 7 for i in numbers],
            "label": [i % 3 % 2 for i in numbers],
        }
        pq.write_table(pa.table(table), folder / f"{file}.parquet")
    tags = [[i % 5, i % 3] for i in range(31)]
    vectors = np.zeros((31, 128), np.float32).tolist()
    items = {"item_id": list(range(31)), "item_tags": tags, "item_emb_d128": vectors}
    pq.write_table(pa.table(items), folder / "item_info.parquet")
    return folder


def write_exploration(folder: Path, name: str) -> Path:
    """Write a set that exploration is judged on, with its authors' columns and habits."""
    files = EXPLORATION[name]
    for file, (header, line, count) in files.items():
        lines = [line(i) for i in range(count)]
        (folder / file).write_text("\n".join([header, *lines]) + "\n")
    return folder


EXPLORATION: dict[str, dict[str, tuple[str, Any, int]]] = {
    "kuairec": {
        "small_matrix.csv": (
            "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio",
            lambda i: (
                f"{i % 20},{i % 31},{i},10000,2020-07-05 05:27:48,20200705,{1593898068 + i}.378,{i % 4}.02"
            ),
            ROWS,
        ),
        "kuairec_caption_category.csv": (
            "video_id,manual_cover_text,caption,topic_tag,first_level_category_id,first_level_category_name,"
            "second_level_category_id,second_level_category_name,third_level_category_id,"
            "third_level_category_name",
            lambda i: (
                f'{i},UNKNOWN,"晚饭后,\n运动一下",[],{i % 5},颜值{i % 5},{i % 7},随拍{i % 7},-124,UNKNOWN'
            ),
            31,
        ),
    },
    "kuairand-1k": {
        "log_random_4_22_to_5_08_1k.csv": (
            "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,"
            "long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab",
            lambda i: f"{i % 20},{i % 31},20220422,800,{1650600000000 + i},{i % 3 % 2}" + ",0" * 11 + ",1,1",
            ROWS,
        ),
        "video_features_basic_1k.csv": (
            "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,"
            "server_height,music_id,music_type,tag",
            lambda i: f'{i},7,NORMAL,2022-03-20,LongImport,1.0,60016.0,720,1280,3,9.0,"{i % 5},{i % 3}"',
            31,
        ),
    },
    "microlens-100k": {
        "MicroLens-100k_pairs.csv": (
            "user,item,timestamp",
            lambda i: f"{i % 20},{i % 31},{1583378629552 + i}",
            ROWS,
        ),
    },
    "serenlens-books": {
        "SerenLens_Books.csv": (
            "user_id,item_id,timestamp,review,rating,label",
            lambda i: (
                f'a{i % 20},b{i % 31},{1196899200 + i},"i stumbled, ""oh"".\nread it",{1 + i % 5},{i % 2}'
            ),
            ROWS,
        ),
    },
}


def written(folder: Path, name: str) -> Path:
    folder.mkdir()
    if name in EXPLORATION:
        return write_exploration(folder, name)
    if name in HEADERS:
        return write_csv(folder, name)
    return write_movielens(folder) if name == "movielens-100k" else write_microlens(folder)


@pytest.mark.parametrize("name", [name for name, known in FORMATS.items() if not known.all_positive])
def test_a_set_becomes_data_that_a_ranker_can_be_trained_on(name: str, tmp_path: Path) -> None:
    task = convert(name, written(tmp_path / "from", name), tmp_path / "to")
    ready = prepare(task)
    assert len(ready.interactions) == ROWS
    several = not FORMATS[name].anonymous
    assert len(ready.users.names) == (20 if several else 1)
    assert len(ready.items.names) == (31 if several else 1)
    named = {f.name for f in ready.features.user + ready.features.item}
    told = task.features.user + task.features.item + task.features.context
    assert named == {"@id"} | {f.column for f in told}


def test_the_part_that_rows_were_published_in_is_kept(tmp_path: Path) -> None:
    convert("kuaivideo", written(tmp_path / "from", "kuaivideo"), tmp_path / "to")
    parts = pq.read_table(tmp_path / "to" / "interactions.parquet")["part"].to_pylist()
    assert parts == ["train"] * 200 + ["test"] * 200


def test_rows_published_for_testing_are_tested_on_and_no_others(tmp_path: Path) -> None:
    task = convert("kuaivideo", written(tmp_path / "from", "kuaivideo"), tmp_path / "to")
    parts = prepare(task).parts
    assert (parts[200:] == split.TEST).all()
    assert set(parts[:200]) == {split.TRAIN, split.VALIDATION}


@pytest.mark.parametrize(("name", "numbers", "ids"), [("criteo", 13, 26), ("avazu", 0, 22)])
def test_an_impression_without_user_or_item_is_all_context(
    name: str, numbers: int, ids: int, tmp_path: Path
) -> None:
    ready = prepare(convert(name, written(tmp_path / "from", name), tmp_path / "to"))
    assert (ready.context.ids.shape, ready.context.numeric.shape) == ((ROWS, ids), (ROWS, numbers))
    # Five values, which the training rows have all.
    assert [f.size for f in ready.features.of_requests if f.type == "Categorical"] == [7] * ids
    published = [int((ready.parts == part).sum()) for part in (split.TRAIN, split.VALIDATION, split.TEST)]
    assert published == [150, 50, 200]
    assert len(set(ready.interactions.hashes.tolist())) == ROWS, "rows are told apart, so that leaks are seen"


def test_ratings_become_likes(tmp_path: Path) -> None:
    convert("movielens-100k", written(tmp_path / "from", "movielens-100k"), tmp_path / "to")
    labels = pq.read_table(tmp_path / "to" / "interactions.parquet")["label"].to_pylist()
    assert labels[:5] == [0, 0, 0, 1, 1]
    titles = pq.read_table(tmp_path / "to" / "items.parquet")["title"].to_pylist()
    assert titles[0] == '"A" film'


def test_a_set_of_engagements_alone_has_positive_labels_only(tmp_path: Path) -> None:
    convert("microlens-100k", written(tmp_path / "from", "microlens-100k"), tmp_path / "to")
    read = interactions.read(TrainTask.model_validate_json((tmp_path / "to" / TASK).read_bytes()).data)
    assert (len(read), set(read.label.tolist()), read.time is not None) == (ROWS, {1.0}, True)


def test_what_users_called_serendipitous_is_kept_beside_their_ratings(tmp_path: Path) -> None:
    convert("serenlens-books", written(tmp_path / "from", "serenlens-books"), tmp_path / "to")
    rows = pq.read_table(tmp_path / "to" / "interactions.parquet").to_pylist()[:5]
    assert [row["label"] for row in rows] == [0, 0, 0, 1, 1]
    assert [row["serendipity"] for row in rows] == [0, 1, 0, 1, 0]


def test_texts_may_hold_line_breaks_and_quotes(tmp_path: Path) -> None:
    convert("kuairec", written(tmp_path / "from", "kuairec"), tmp_path / "to")
    items = pq.read_table(tmp_path / "to" / "items.parquet").to_pylist()
    assert items[3]["caption"] == "晚饭后,\n运动一下"


def test_what_rows_say_of_an_item_stands_beside_its_own_table(tmp_path: Path) -> None:
    convert("microlens-1m-mmctr", written(tmp_path / "from", "microlens-1m-mmctr"), tmp_path / "to")
    items = pq.read_table(tmp_path / "to" / "items.parquet").to_pylist()
    assert items[9] == {"item_id": "9", "tags": [4, 0], "likes_level": 9, "views_level": 2}


@pytest.mark.parametrize(
    ("spoil", "reason", "complaint"),
    [
        pytest.param(lambda f: (f / "test.csv").unlink(), "MissingFile", "KuaiVideo_x1", id="a missing file"),
        pytest.param(
            lambda f: (f / "test.csv").write_text("user_id,item_id\n1,2\n"),
            "MissingColumn",
            "no column is_click, timestamp; it has user_id, item_id",
            id="a file of another set",
        ),
    ],
)
def test_refusals(spoil: Any, reason: str, complaint: str, tmp_path: Path) -> None:
    source = written(tmp_path / "from", "kuaivideo")
    spoil(source)
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        convert("kuaivideo", source, tmp_path / "to")
    assert refused.value.reason == reason


def test_a_set_that_is_not_known_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="choose from movielens-100k"):
        convert("netflix", tmp_path, tmp_path)
