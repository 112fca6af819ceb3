BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE "column" (
	entry TEXT NOT NULL, 
	place INTEGER NOT NULL, 
	section TEXT NOT NULL, 
	field TEXT NOT NULL, 
	dtype TEXT NOT NULL, 
	shape TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (entry, place), 
	CONSTRAINT _column_entry FOREIGN KEY(entry) REFERENCES entry ("key") ON DELETE CASCADE
);
INSERT INTO "column" VALUES('3050d61843e2a2b4e95dc1d7bbb564606c5ca1ceccccb5af9b5216f3574a0005',0,'','x','int64','[9]',72);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',0,'oof_batches','embedding_indices','int64','[10,4,2]',640);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',1,'oof_batches','embedding_indices','int64','[2,3,2]',96);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',2,'oof_batches','player_stats','float32','[10,4,2,3]',960);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',3,'oof_batches','player_stats','float32','[2,3,2,3]',144);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',4,'oof_batches','minutes','float32','[10,4,2]',320);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',5,'oof_batches','minutes','float32','[2,3,2]',48);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',6,'oof_batches','key_padding_mask','bool','[2,4,2]',16);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',7,'oof_batches','key_padding_mask','bool','[2,3,2]',12);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',8,'oof_batches','rel','float32','[10,4]',160);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',9,'oof_batches','rel','float32','[2,3]',24);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',10,'all_batches','embedding_indices','int64','[7,4,2]',448);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',11,'all_batches','embedding_indices','int64','[1,3,2]',48);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',12,'all_batches','embedding_indices','int64','[10,4,2]',640);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',13,'all_batches','embedding_indices','int64','[2,3,2]',96);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',14,'all_batches','player_stats','float32','[7,4,2,3]',672);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',15,'all_batches','player_stats','float32','[1,3,2,3]',72);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',16,'all_batches','player_stats','float32','[10,4,2,3]',960);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',17,'all_batches','player_stats','float32','[2,3,2,3]',144);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',18,'all_batches','minutes','float32','[7,4,2]',224);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',19,'all_batches','minutes','float32','[1,3,2]',24);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',20,'all_batches','minutes','float32','[10,4,2]',320);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',21,'all_batches','minutes','float32','[2,3,2]',48);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',22,'all_batches','key_padding_mask','bool','[2,4,2]',16);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',23,'all_batches','key_padding_mask','bool','[2,3,2]',12);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',24,'all_batches','rel','float32','[7,4]',112);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',25,'all_batches','rel','float32','[1,3]',12);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',26,'all_batches','rel','float32','[10,4]',160);
INSERT INTO "column" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',27,'all_batches','rel','float32','[2,3]',24);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',0,'oof_batches','embedding_indices','int64','[10,4,2]',640);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',1,'oof_batches','embedding_indices','int64','[2,3,2]',96);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',2,'oof_batches','player_stats','float32','[10,4,2,3]',960);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',3,'oof_batches','player_stats','float32','[2,3,2,3]',144);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',4,'oof_batches','minutes','float32','[10,4,2]',320);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',5,'oof_batches','minutes','float32','[2,3,2]',48);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',6,'oof_batches','key_padding_mask','bool','[2,4,2]',16);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',7,'oof_batches','key_padding_mask','bool','[2,3,2]',12);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',8,'oof_batches','rel','float32','[10,4]',160);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',9,'oof_batches','rel','float32','[2,3]',24);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',10,'all_batches','embedding_indices','int64','[7,4,2]',448);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',11,'all_batches','embedding_indices','int64','[1,3,2]',48);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',12,'all_batches','embedding_indices','int64','[10,4,2]',640);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',13,'all_batches','embedding_indices','int64','[2,3,2]',96);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',14,'all_batches','player_stats','float32','[7,4,2,3]',672);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',15,'all_batches','player_stats','float32','[1,3,2,3]',72);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',16,'all_batches','player_stats','float32','[10,4,2,3]',960);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',17,'all_batches','player_stats','float32','[2,3,2,3]',144);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',18,'all_batches','minutes','float32','[7,4,2]',224);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',19,'all_batches','minutes','float32','[1,3,2]',24);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',20,'all_batches','minutes','float32','[10,4,2]',320);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',21,'all_batches','minutes','float32','[2,3,2]',48);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',22,'all_batches','key_padding_mask','bool','[2,4,2]',16);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',23,'all_batches','key_padding_mask','bool','[2,3,2]',12);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',24,'all_batches','rel','float32','[7,4]',112);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',25,'all_batches','rel','float32','[1,3]',12);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',26,'all_batches','rel','float32','[10,4]',160);
INSERT INTO "column" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',27,'all_batches','rel','float32','[2,3]',24);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',0,'torch','torch/bool','bool','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',1,'torch','torch/uint8','uint8','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',2,'torch','torch/uint16','uint16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',3,'torch','torch/uint32','uint32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',4,'torch','torch/uint64','uint64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',5,'torch','torch/int8','int8','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',6,'torch','torch/int16','int16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',7,'torch','torch/int32','int32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',8,'torch','torch/int64','int64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',9,'torch','torch/float16','float16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',10,'torch','torch/bfloat16','bfloat16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',11,'torch','torch/float32','float32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',12,'torch','torch/float64','float64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',13,'torch','torch/complex32','complex32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',14,'torch','torch/complex64','complex64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',15,'torch','torch/complex128','complex128','[3,5]',240);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',16,'torch','torch/float8_e4m3fn','float8_e4m3fn','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',17,'torch','torch/float8_e5m2','float8_e5m2','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',18,'torch','torch/float8_e4m3fnuz','float8_e4m3fnuz','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',19,'torch','torch/float8_e5m2fnuz','float8_e5m2fnuz','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',20,'torch 0-d','torch 0-d/bool','bool','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',21,'torch 0-d','torch 0-d/uint8','uint8','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',22,'torch 0-d','torch 0-d/uint16','uint16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',23,'torch 0-d','torch 0-d/uint32','uint32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',24,'torch 0-d','torch 0-d/uint64','uint64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',25,'torch 0-d','torch 0-d/int8','int8','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',26,'torch 0-d','torch 0-d/int16','int16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',27,'torch 0-d','torch 0-d/int32','int32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',28,'torch 0-d','torch 0-d/int64','int64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',29,'torch 0-d','torch 0-d/float16','float16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',30,'torch 0-d','torch 0-d/bfloat16','bfloat16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',31,'torch 0-d','torch 0-d/float32','float32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',32,'torch 0-d','torch 0-d/float64','float64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',33,'torch 0-d','torch 0-d/complex32','complex32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',34,'torch 0-d','torch 0-d/complex64','complex64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',35,'torch 0-d','torch 0-d/complex128','complex128','[1]',16);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',36,'torch 0-d','torch 0-d/float8_e4m3fn','float8_e4m3fn','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',37,'torch 0-d','torch 0-d/float8_e5m2','float8_e5m2','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',38,'torch 0-d','torch 0-d/float8_e4m3fnuz','float8_e4m3fnuz','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',39,'torch 0-d','torch 0-d/float8_e5m2fnuz','float8_e5m2fnuz','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',40,'torch laid out','bool','bool','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',41,'torch laid out','bool','bool','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',42,'torch laid out','uint8','uint8','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',43,'torch laid out','uint8','uint8','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',44,'torch laid out','uint16','uint16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',45,'torch laid out','uint16','uint16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',46,'torch laid out','uint32','uint32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',47,'torch laid out','uint32','uint32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',48,'torch laid out','uint64','uint64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',49,'torch laid out','uint64','uint64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',50,'torch laid out','int8','int8','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',51,'torch laid out','int8','int8','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',52,'torch laid out','int16','int16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',53,'torch laid out','int16','int16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',54,'torch laid out','int32','int32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',55,'torch laid out','int32','int32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',56,'torch laid out','int64','int64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',57,'torch laid out','int64','int64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',58,'torch laid out','float16','float16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',59,'torch laid out','float16','float16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',60,'torch laid out','bfloat16','bfloat16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',61,'torch laid out','bfloat16','bfloat16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',62,'torch laid out','float32','float32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',63,'torch laid out','float32','float32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',64,'torch laid out','float64','float64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',65,'torch laid out','float64','float64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',66,'torch laid out','complex32','complex32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',67,'torch laid out','complex32','complex32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',68,'torch laid out','complex64','complex64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',69,'torch laid out','complex64','complex64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',70,'torch laid out','complex128','complex128','[3,5]',240);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',71,'torch laid out','complex128','complex128','[1]',16);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',72,'torch laid out','float8_e4m3fn','float8_e4m3fn','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',73,'torch laid out','float8_e4m3fn','float8_e4m3fn','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',74,'torch laid out','float8_e5m2','float8_e5m2','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',75,'torch laid out','float8_e5m2','float8_e5m2','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',76,'torch laid out','float8_e4m3fnuz','float8_e4m3fnuz','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',77,'torch laid out','float8_e4m3fnuz','float8_e4m3fnuz','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',78,'torch laid out','float8_e5m2fnuz','float8_e5m2fnuz','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',79,'torch laid out','float8_e5m2fnuz','float8_e5m2fnuz','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',80,'numpy','torch/bool','bool','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',81,'numpy','torch/uint8','uint8','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',82,'numpy','torch/uint16','uint16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',83,'numpy','torch/uint32','uint32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',84,'numpy','torch/uint64','uint64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',85,'numpy','torch/int8','int8','[3,5]',15);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',86,'numpy','torch/int16','int16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',87,'numpy','torch/int32','int32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',88,'numpy','torch/int64','int64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',89,'numpy','torch/float16','float16','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',90,'numpy','torch/float32','float32','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',91,'numpy','torch/float64','float64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',92,'numpy','torch/complex64','complex64','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',93,'numpy','torch/complex128','complex128','[3,5]',240);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',94,'numpy','numpy/>u2','>u2','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',95,'numpy','numpy/>u4','>u4','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',96,'numpy','numpy/>u8','>u8','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',97,'numpy','numpy/>i2','>i2','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',98,'numpy','numpy/>i4','>i4','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',99,'numpy','numpy/>i8','>i8','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',100,'numpy','numpy/>f2','>f2','[3,5]',30);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',101,'numpy','numpy/>f4','>f4','[3,5]',60);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',102,'numpy','numpy/>f8','>f8','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',103,'numpy','numpy/>c8','>c8','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',104,'numpy','numpy/>c16','>c16','[3,5]',240);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',105,'numpy','numpy/<M8[ns]','datetime64[ns]','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',106,'numpy','numpy/<M8[D]','datetime64[D]','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',107,'numpy','numpy/<m8[us]','timedelta64[us]','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',108,'numpy','numpy/<m8[25s]','timedelta64[25s]','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',109,'numpy','numpy/>M8[s]','>M8[s]','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',110,'numpy','numpy/>m8[ns]','>m8[ns]','[3,5]',120);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',111,'numpy 0-d','torch 0-d/bool','bool','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',112,'numpy 0-d','torch 0-d/uint8','uint8','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',113,'numpy 0-d','torch 0-d/uint16','uint16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',114,'numpy 0-d','torch 0-d/uint32','uint32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',115,'numpy 0-d','torch 0-d/uint64','uint64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',116,'numpy 0-d','torch 0-d/int8','int8','[1]',1);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',117,'numpy 0-d','torch 0-d/int16','int16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',118,'numpy 0-d','torch 0-d/int32','int32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',119,'numpy 0-d','torch 0-d/int64','int64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',120,'numpy 0-d','torch 0-d/float16','float16','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',121,'numpy 0-d','torch 0-d/float32','float32','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',122,'numpy 0-d','torch 0-d/float64','float64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',123,'numpy 0-d','torch 0-d/complex64','complex64','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',124,'numpy 0-d','torch 0-d/complex128','complex128','[1]',16);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',125,'numpy 0-d','numpy 0-d/>u2','>u2','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',126,'numpy 0-d','numpy 0-d/>u4','>u4','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',127,'numpy 0-d','numpy 0-d/>u8','>u8','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',128,'numpy 0-d','numpy 0-d/>i2','>i2','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',129,'numpy 0-d','numpy 0-d/>i4','>i4','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',130,'numpy 0-d','numpy 0-d/>i8','>i8','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',131,'numpy 0-d','numpy 0-d/>f2','>f2','[1]',2);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',132,'numpy 0-d','numpy 0-d/>f4','>f4','[1]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',133,'numpy 0-d','numpy 0-d/>f8','>f8','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',134,'numpy 0-d','numpy 0-d/>c8','>c8','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',135,'numpy 0-d','numpy 0-d/>c16','>c16','[1]',16);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',136,'numpy 0-d','numpy 0-d/<M8[ns]','datetime64[ns]','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',137,'numpy 0-d','numpy 0-d/<M8[D]','datetime64[D]','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',138,'numpy 0-d','numpy 0-d/<m8[us]','timedelta64[us]','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',139,'numpy 0-d','numpy 0-d/<m8[25s]','timedelta64[25s]','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',140,'numpy 0-d','numpy 0-d/>M8[s]','>M8[s]','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',141,'numpy 0-d','numpy 0-d/>m8[ns]','>m8[ns]','[1]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',142,'empty','empty/rows','float32','[0,3]',0);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',143,'empty','empty/width','float64','[3,0]',0);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',144,'empty','empty/both','float32','[0]',0);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',145,'grad','grad','float32','[2]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',146,'grad','grad','float32','[2]',8);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',147,'float8_e8m0fnu','float8_e8m0fnu','float8_e8m0fnu','[4]',4);
INSERT INTO "column" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',148,'float4_e2m1fn_x2','float4_e2m1fn_x2','float4_e2m1fn_x2','[4]',4);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',0,'absent','x','int64','[16]',128);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',1,'mixed','mixed','float32','[2]',8);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',2,'mixed','mixed','float32','[2]',8);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',3,'mixed','mixed','float32','[2,2]',16);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',4,'mixed','0','float32','[3]',12);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',5,'flat','x','int32','[570]',2280);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',6,'ordinals','ordinals','int16','[600]',1200);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',7,'ordinals','ordinals','float32','[1]',4);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',8,'inner','inner/plain/~0','float32','[1]',4);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',9,'inner','x','int64','[33]',264);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',10,'a/b#c%d~e é','a%2Fb%23c%25d%7Ee %C3%A9/~0/','float32','[4]',16);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',11,'a/b#c%d~e é','a%2Fb%23c%25d%7Ee %C3%A9/~1','float32','[5]',20);
INSERT INTO "column" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',12,'a/b#c%d~e é','a%2Fb%23c%25d%7Ee %C3%A9/~2/~0','float32','[6]',24);
CREATE TABLE entry (
	"key" TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	inputs TEXT NOT NULL, 
	version TEXT NOT NULL, 
	format INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	build_seconds FLOAT NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_used_at DATETIME, 
	uses INTEGER NOT NULL, 
	pinned TEXT, 
	host TEXT NOT NULL, 
	tools TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "entry" VALUES('3050d61843e2a2b4e95dc1d7bbb564606c5ca1ceccccb5af9b5216f3574a0005','golden.alone','{"inputs":{"name":"alone"},"key":1,"namespace":"golden.alone","sources":{"db":"sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000"},"version":"hand:1"}','45efe77fd30f431535b8f1385fc73260691b2603fe724716b1d67393be3af3b8','{"name":"alone"}','hand:1',1,272,1.5,'2020-09-13 12:26:40.250000',NULL,0,NULL,'golden','{"python": "3.11.7"}');
INSERT INTO "entry" VALUES('a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78','golden.values','{"inputs":{"name":"values"},"key":1,"namespace":"golden.values","sources":{"db":"sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000"},"version":"hand:1"}','f81700165274618f4a51d1d71dd219d9863bc895ff2221c990a41ab3627d6a4c','{"name":"values"}','hand:1',1,374,1.5,'2020-09-13 12:26:40.250000','2026-11-28 14:26:26.523885',2,'paper','golden','{"python": "3.11.7"}');
INSERT INTO "entry" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9','golden.batches','{"inputs":{"name":"batches 5"},"key":1,"namespace":"golden.batches","sources":{"db":"sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000"},"version":"hand:1"}','1a432ad1c4419ffea4f775193b7eebb666185c78daab9b88267c71cd7e892b40','{"name":"batches 5"}','hand:1',1,11756,1.5,'2020-09-13 12:26:40.250000',NULL,0,NULL,'golden','{"python": "3.11.7"}');
INSERT INTO "entry" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d','golden.batches','{"inputs":{"name":"batches 6"},"key":1,"namespace":"golden.batches","sources":{"db":"sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000"},"version":"hand:1"}','16056c3a6a093b3b94a3af5c6c1671fd555a1be37a832d11714918b537d7f442','{"name":"batches 6"}','hand:1',1,11756,1.5,'2020-09-13 12:26:40.250000',NULL,0,NULL,'golden','{"python": "3.11.7"}');
INSERT INTO "entry" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','golden.dtypes','{"inputs":{"name":"dtypes"},"key":1,"namespace":"golden.dtypes","sources":{"db":"sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000"},"version":"hand:1"}','bbe042cbe5b77f88e41df4d1428275ba51b7cdd045dfcfef3316150fea98e23c','{"name":"dtypes"}','hand:1',1,11792,1.5,'2020-09-13 12:26:40.250000','2026-11-28 14:26:26.531374',2,NULL,'golden','{"python": "3.11.7"}');
INSERT INTO "entry" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','golden.shapes','{"inputs":{"name":"shapes"},"key":1,"namespace":"golden.shapes","sources":{"db":"sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000"},"version":"hand:1"}','96eac6cefd5d9d1946033226c2c26bf233ba808cfadf4694f35c8f81d3090a20','{"name":"shapes"}','hand:1',1,99685,1.5,'2020-09-13 12:26:40.250000',NULL,0,NULL,'golden','{"python": "3.11.7"}');
CREATE TABLE entry_shard (
	entry TEXT NOT NULL, 
	shard TEXT NOT NULL, 
	PRIMARY KEY (entry, shard), 
	CONSTRAINT _entry_shard_entry FOREIGN KEY(entry) REFERENCES entry ("key") ON DELETE CASCADE, 
	CONSTRAINT _entry_shard_shard FOREIGN KEY(shard) REFERENCES shard (digest) ON DELETE RESTRICT
);
INSERT INTO "entry_shard" VALUES('3050d61843e2a2b4e95dc1d7bbb564606c5ca1ceccccb5af9b5216f3574a0005','8a8bee64ddaced9c8434a960624c171e1ec35ef1e44d12c43663c146affe6a3e');
INSERT INTO "entry_shard" VALUES('a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78','55c811c3ca530dc042164ca859267de2a0e184681ee2bdfa3e236c1931cadf86');
INSERT INTO "entry_shard" VALUES('a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78','79cb132b7698bf019b3905925e84fdf8ff766d3e4b207c7184b93e6e564f8cd8');
INSERT INTO "entry_shard" VALUES('a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78','90152c85aeedbc665e0e9b5a22ee05e18dbf2d5408c516a13db75d3ee5fe1072');
INSERT INTO "entry_shard" VALUES('a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78','b20174288dcb70a6a590a0d1a1216742069a9ec9a620bf6de89d18ae584274fc');
INSERT INTO "entry_shard" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9','04f163f02db4031d3d69987d1a4149785a27697185b02db6a966dc13dfd2e29e');
INSERT INTO "entry_shard" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9','8f8ea6c6e61236616cb793d80ae94de8226d8c9b628ae07a9f82cd7dbfa2d3fc');
INSERT INTO "entry_shard" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9','1eb2b18d5bf4cbb042d37d7aa840d9b4fe866d1e2b99736a24f6f6f176d83fc7');
INSERT INTO "entry_shard" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9','29198bd17b11783a9fde1f10aee758f07104ccdfe88ea1fd102f1dbf5ef0c8ac');
INSERT INTO "entry_shard" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d','04f163f02db4031d3d69987d1a4149785a27697185b02db6a966dc13dfd2e29e');
INSERT INTO "entry_shard" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d','8f8ea6c6e61236616cb793d80ae94de8226d8c9b628ae07a9f82cd7dbfa2d3fc');
INSERT INTO "entry_shard" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d','1eb2b18d5bf4cbb042d37d7aa840d9b4fe866d1e2b99736a24f6f6f176d83fc7');
INSERT INTO "entry_shard" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d','29198bd17b11783a9fde1f10aee758f07104ccdfe88ea1fd102f1dbf5ef0c8ac');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','9d4d2fb3d448f21eae7a92413fc99e68e1471538fd89072523d030ec35fc5f78');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','d17920547ffd170e351eb70e21722aa473d5a358d16fb83f35492fd9e6063512');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','20fc2492b589559a03a2c4c522238cb78e93d3ab1036069c50242def61954703');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','004153f2c320f52b5569206fa36eaab4c9b6dc25cef9aebba6b938b2669ab251');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','3b4afa37bebe16175e74b7c9552e23345844e3e440ad8b0a1fbf780de56d186b');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','6f017c7c84e375e6c099bcde37078930f29a92f8affbd7cbda4796c9f1f9e47b');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','a5c1b39b4f8307190a2721f86c9d473fd80feec8da99fa887f4fd57b7363d300');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','7497eba0c9af1e928c6b3cd74257c9795128642946f569e99148f9d40449f672');
INSERT INTO "entry_shard" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce','b4b3f564672675e24ec03cfb77030fcdd0541ff75d93026075be4ea6d95ac5b2');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','e31fbf010abb12377d3c722e17e0563ce05b180584834d8b84c22913041cb1c7');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','27c7572f8425260596744409afd15a39878702406f7885490cedb57a69ff9eaa');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','37b957831d99144ce7f99ff7bd109f7b247fe76be817f12bc00c97d0b015c1c6');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','5034266d8f28c9376af2b26c3ca8798cf2feed4788e4601980a32201a2dd4a8b');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','2e6c72822b7d222e13bcf03c56d05761a9ceba8de79cb26664473f4c08643fc7');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','649741b60a2a110d0d383f1eab981cb01e2bb6ed9a45c79a379b67d2deaa4302');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','caf5ec13ae6ee6916df056d9faf2aa64d163c9a1d0b63a4cef0b0d9aac6a455d');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','b600e210bb4bb00b603b573925eb110857cf2a777ffba40c4b91b03f577a87cb');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','c22054ec623ed470c7e16135967407bf5743ec76f0ed7aad180ef20253a79169');
INSERT INTO "entry_shard" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5','7454b28d4327e8ccc4610fe5855cf6a66febe72c2e88cfa238efcf5463eb006e');
CREATE TABLE event (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	kind TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	seconds FLOAT NOT NULL, 
	bytes BIGINT NOT NULL, 
	journal TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "event" VALUES(1,'2026-11-28 14:26:26.522249','hit','a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78',2.5231550007447367534e-03,374,'ead06d45393f1a22e32683362f2b456f');
INSERT INTO "event" VALUES(2,'2026-11-28 14:26:26.523885','hit','a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78',4.79209000332048162817e-04,374,'ead06d45393f1a22e32683362f2b456f');
INSERT INTO "event" VALUES(3,'2026-11-28 14:26:26.530291','hit','d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',6.2405720000242581591e-03,11792,'ead06d45393f1a22e32683362f2b456f');
INSERT INTO "event" VALUES(4,'2026-11-28 14:26:26.531374','hit','d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',7.95412999650579877197e-04,11792,'ead06d45393f1a22e32683362f2b456f');
CREATE TABLE shard (
	digest TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	path TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "shard" VALUES('8a8bee64ddaced9c8434a960624c171e1ec35ef1e44d12c43663c146affe6a3e','shard','shards/8a/8a8bee64ddaced9c8434a960624c171e1ec35ef1e44d12c43663c146affe6a3e.safetensors',272);
INSERT INTO "shard" VALUES('55c811c3ca530dc042164ca859267de2a0e184681ee2bdfa3e236c1931cadf86','shard','shards/55/55c811c3ca530dc042164ca859267de2a0e184681ee2bdfa3e236c1931cadf86.safetensors',152);
INSERT INTO "shard" VALUES('79cb132b7698bf019b3905925e84fdf8ff766d3e4b207c7184b93e6e564f8cd8','shard','shards/79/79cb132b7698bf019b3905925e84fdf8ff766d3e4b207c7184b93e6e564f8cd8.safetensors',112);
INSERT INTO "shard" VALUES('90152c85aeedbc665e0e9b5a22ee05e18dbf2d5408c516a13db75d3ee5fe1072','document','documents/90/90152c85aeedbc665e0e9b5a22ee05e18dbf2d5408c516a13db75d3ee5fe1072.msgpack',76);
INSERT INTO "shard" VALUES('b20174288dcb70a6a590a0d1a1216742069a9ec9a620bf6de89d18ae584274fc','document','documents/b2/b20174288dcb70a6a590a0d1a1216742069a9ec9a620bf6de89d18ae584274fc.msgpack',34);
INSERT INTO "shard" VALUES('04f163f02db4031d3d69987d1a4149785a27697185b02db6a966dc13dfd2e29e','shard','shards/04/04f163f02db4031d3d69987d1a4149785a27697185b02db6a966dc13dfd2e29e.safetensors',240);
INSERT INTO "shard" VALUES('8f8ea6c6e61236616cb793d80ae94de8226d8c9b628ae07a9f82cd7dbfa2d3fc','shard','shards/8f/8f8ea6c6e61236616cb793d80ae94de8226d8c9b628ae07a9f82cd7dbfa2d3fc.safetensors',5188);
INSERT INTO "shard" VALUES('1eb2b18d5bf4cbb042d37d7aa840d9b4fe866d1e2b99736a24f6f6f176d83fc7','shard','shards/1e/1eb2b18d5bf4cbb042d37d7aa840d9b4fe866d1e2b99736a24f6f6f176d83fc7.safetensors',5148);
INSERT INTO "shard" VALUES('29198bd17b11783a9fde1f10aee758f07104ccdfe88ea1fd102f1dbf5ef0c8ac','document','documents/29/29198bd17b11783a9fde1f10aee758f07104ccdfe88ea1fd102f1dbf5ef0c8ac.msgpack',1180);
INSERT INTO "shard" VALUES('9d4d2fb3d448f21eae7a92413fc99e68e1471538fd89072523d030ec35fc5f78','shard','shards/9d/9d4d2fb3d448f21eae7a92413fc99e68e1471538fd89072523d030ec35fc5f78.safetensors',2705);
INSERT INTO "shard" VALUES('d17920547ffd170e351eb70e21722aa473d5a358d16fb83f35492fd9e6063512','shard','shards/d1/d17920547ffd170e351eb70e21722aa473d5a358d16fb83f35492fd9e6063512.safetensors',1583);
INSERT INTO "shard" VALUES('20fc2492b589559a03a2c4c522238cb78e93d3ab1036069c50242def61954703','shard','shards/20/20fc2492b589559a03a2c4c522238cb78e93d3ab1036069c50242def61954703.safetensors',2640);
INSERT INTO "shard" VALUES('004153f2c320f52b5569206fa36eaab4c9b6dc25cef9aebba6b938b2669ab251','shard','shards/00/004153f2c320f52b5569206fa36eaab4c9b6dc25cef9aebba6b938b2669ab251.safetensors',2942);
INSERT INTO "shard" VALUES('3b4afa37bebe16175e74b7c9552e23345844e3e440ad8b0a1fbf780de56d186b','shard','shards/3b/3b4afa37bebe16175e74b7c9552e23345844e3e440ad8b0a1fbf780de56d186b.safetensors',1346);
INSERT INTO "shard" VALUES('6f017c7c84e375e6c099bcde37078930f29a92f8affbd7cbda4796c9f1f9e47b','shard','shards/6f/6f017c7c84e375e6c099bcde37078930f29a92f8affbd7cbda4796c9f1f9e47b.safetensors',208);
INSERT INTO "shard" VALUES('a5c1b39b4f8307190a2721f86c9d473fd80feec8da99fa887f4fd57b7363d300','shard','shards/a5/a5c1b39b4f8307190a2721f86c9d473fd80feec8da99fa887f4fd57b7363d300.safetensors',200);
INSERT INTO "shard" VALUES('7497eba0c9af1e928c6b3cd74257c9795128642946f569e99148f9d40449f672','shard','shards/74/7497eba0c9af1e928c6b3cd74257c9795128642946f569e99148f9d40449f672.safetensors',84);
INSERT INTO "shard" VALUES('b4b3f564672675e24ec03cfb77030fcdd0541ff75d93026075be4ea6d95ac5b2','shard','shards/b4/b4b3f564672675e24ec03cfb77030fcdd0541ff75d93026075be4ea6d95ac5b2.safetensors',84);
INSERT INTO "shard" VALUES('e31fbf010abb12377d3c722e17e0563ce05b180584834d8b84c22913041cb1c7','shard','shards/e3/e31fbf010abb12377d3c722e17e0563ce05b180584834d8b84c22913041cb1c7.safetensors',608);
INSERT INTO "shard" VALUES('27c7572f8425260596744409afd15a39878702406f7885490cedb57a69ff9eaa','shard','shards/27/27c7572f8425260596744409afd15a39878702406f7885490cedb57a69ff9eaa.safetensors',732);
INSERT INTO "shard" VALUES('37b957831d99144ce7f99ff7bd109f7b247fe76be817f12bc00c97d0b015c1c6','shard','shards/37/37b957831d99144ce7f99ff7bd109f7b247fe76be817f12bc00c97d0b015c1c6.safetensors',3304);
INSERT INTO "shard" VALUES('5034266d8f28c9376af2b26c3ca8798cf2feed4788e4601980a32201a2dd4a8b','shard','shards/50/5034266d8f28c9376af2b26c3ca8798cf2feed4788e4601980a32201a2dd4a8b.safetensors',15932);
INSERT INTO "shard" VALUES('2e6c72822b7d222e13bcf03c56d05761a9ceba8de79cb26664473f4c08643fc7','shard','shards/2e/2e6c72822b7d222e13bcf03c56d05761a9ceba8de79cb26664473f4c08643fc7.safetensors',1300);
INSERT INTO "shard" VALUES('649741b60a2a110d0d383f1eab981cb01e2bb6ed9a45c79a379b67d2deaa4302','shard','shards/64/649741b60a2a110d0d383f1eab981cb01e2bb6ed9a45c79a379b67d2deaa4302.safetensors',332);
INSERT INTO "shard" VALUES('caf5ec13ae6ee6916df056d9faf2aa64d163c9a1d0b63a4cef0b0d9aac6a455d','document','documents/ca/caf5ec13ae6ee6916df056d9faf2aa64d163c9a1d0b63a4cef0b0d9aac6a455d.msgpack',56);
INSERT INTO "shard" VALUES('b600e210bb4bb00b603b573925eb110857cf2a777ffba40c4b91b03f577a87cb','document','documents/b6/b600e210bb4bb00b603b573925eb110857cf2a777ffba40c4b91b03f577a87cb.msgpack',22);
INSERT INTO "shard" VALUES('c22054ec623ed470c7e16135967407bf5743ec76f0ed7aad180ef20253a79169','document','documents/c2/c22054ec623ed470c7e16135967407bf5743ec76f0ed7aad180ef20253a79169.msgpack',5747);
INSERT INTO "shard" VALUES('7454b28d4327e8ccc4610fe5855cf6a66febe72c2e88cfa238efcf5463eb006e','document','documents/74/7454b28d4327e8ccc4610fe5855cf6a66febe72c2e88cfa238efcf5463eb006e.msgpack',71652);
CREATE TABLE source (
	entry TEXT NOT NULL, 
	place INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	path TEXT, 
	identity TEXT, 
	size BIGINT, 
	mtime_ns BIGINT, 
	PRIMARY KEY (entry, place), 
	CONSTRAINT _source_entry FOREIGN KEY(entry) REFERENCES entry ("key") ON DELETE CASCADE
);
INSERT INTO "source" VALUES('3050d61843e2a2b4e95dc1d7bbb564606c5ca1ceccccb5af9b5216f3574a0005',0,'db','sqlite','/data/league.sqlite','sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000',4096,3);
INSERT INTO "source" VALUES('3050d61843e2a2b4e95dc1d7bbb564606c5ca1ceccccb5af9b5216f3574a0005',1,'made','value',NULL,NULL,NULL,NULL);
INSERT INTO "source" VALUES('a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78',0,'db','sqlite','/data/league.sqlite','sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000',4096,3);
INSERT INTO "source" VALUES('a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78',1,'made','value',NULL,NULL,NULL,NULL);
INSERT INTO "source" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',0,'db','sqlite','/data/league.sqlite','sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000',4096,3);
INSERT INTO "source" VALUES('a68479a42eee3267c76b0ef72deef62adc2be326b7ac06c22b9ecb6cc605eaa9',1,'made','value',NULL,NULL,NULL,NULL);
INSERT INTO "source" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',0,'db','sqlite','/data/league.sqlite','sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000',4096,3);
INSERT INTO "source" VALUES('cdaec5ca61b768be8264e8c9a8dd01dea0e61b796261117cf95ac8df17584b4d',1,'made','value',NULL,NULL,NULL,NULL);
INSERT INTO "source" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',0,'db','sqlite','/data/league.sqlite','sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000',4096,3);
INSERT INTO "source" VALUES('d6b5f84b1bfde3e69c6fb816ecd9c77585ec79746eb954a7ecaf66e0293bacce',1,'made','value',NULL,NULL,NULL,NULL);
INSERT INTO "source" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',0,'db','sqlite','/data/league.sqlite','sqlite-bytes-1:blake3:0000000000000000000000000000000000000000000000000000000000000000',4096,3);
INSERT INTO "source" VALUES('eb33709cfab288dabcb11b0ff4a6367091d5caa24ce60d9a9045d7903390adc5',1,'made','value',NULL,NULL,NULL,NULL);
CREATE INDEX _entry_namespace ON entry (namespace, created_at);
CREATE INDEX _entry_shard_holders ON entry_shard (shard);
CREATE INDEX _event_key ON event ("key");
CREATE INDEX _event_journal ON event (journal);
CREATE VIEW "golden.alone" AS SELECT entry.key, entry.bytes, entry.created_at, entry.last_used_at, entry.build_seconds, entry.pinned, json_extract(entry.inputs, '$."name"') AS "name" FROM entry WHERE entry.namespace = 'golden.alone';
CREATE VIEW "golden.values" AS SELECT entry.key, entry.bytes, entry.created_at, entry.last_used_at, entry.build_seconds, entry.pinned, json_extract(entry.inputs, '$."name"') AS "name" FROM entry WHERE entry.namespace = 'golden.values';
CREATE VIEW "golden.batches" AS SELECT entry.key, entry.bytes, entry.created_at, entry.last_used_at, entry.build_seconds, entry.pinned, json_extract(entry.inputs, '$."name"') AS "name" FROM entry WHERE entry.namespace = 'golden.batches';
CREATE VIEW "golden.dtypes" AS SELECT entry.key, entry.bytes, entry.created_at, entry.last_used_at, entry.build_seconds, entry.pinned, json_extract(entry.inputs, '$."name"') AS "name" FROM entry WHERE entry.namespace = 'golden.dtypes';
CREATE VIEW "golden.shapes" AS SELECT entry.key, entry.bytes, entry.created_at, entry.last_used_at, entry.build_seconds, entry.pinned, json_extract(entry.inputs, '$."name"') AS "name" FROM entry WHERE entry.namespace = 'golden.shapes';
COMMIT;
